-- One row per (plan_date, user_id, campaign_id, audience): who matches an audience and is not contacted on the plan date, and why.
with

fallen_out as (

    select
        user_id,
        campaign_id,
        audience,
        message_class,
        fall_out as reason,
        cast(null as string) as won_by_campaign_id,
        value,
        again_from
    from {{ ref('int_candidates') }}
    where fall_out is not null

),

unplanned as (

    select
        user_id,
        campaign_id,
        audience,
        message_class,
        reason,
        won_by_campaign_id,
        value,
        cast(null as date) as again_from
    from {{ ref('int_plan') }}
    where channel is null

),

suppressed as (

    select * from fallen_out

    union all

    select * from unplanned

)

select
    {{ plan_date() }} as plan_date,
    user_id,
    campaign_id,
    audience,
    message_class,
    reason,
    won_by_campaign_id,
    value as value_forgone,
    again_from
from suppressed
