-- One row per (plan_date, user_id, campaign_id, audience, channel) that a plan list carried, or would but for a holdout, but for users who asked to be forgotten since.
with

forgotten as (

    select user_id, max(requested_date) as requested_date
    from {{ ref('stg_erasures') }}
    group by user_id

)

select distinct
    planned.plan_date,
    planned.user_id,
    planned.campaign_id,
    planned.audience,
    planned.channel,
    planned.variant,
    planned.message_class,
    planned.holdout_kind
from {{ source('raw', 'planned_contacts') }} as planned
left join forgotten on planned.user_id = forgotten.user_id
where forgotten.user_id is null or planned.plan_date > forgotten.requested_date
