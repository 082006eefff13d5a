-- One row per campaign that splits its users, by variants or a holdout: since when it does so as it does now, until when, and how.
{{ config(database='build') }}

with

-- a test whose settings have changed is another one
recorded as (

    select
        campaign_id,
        started_on,
        variants,
        holdout_share,
        lead(started_on) over (partition by campaign_id order by started_on) as next_started_on
    from {{ source('raw', 'planned_tests') }}
    where started_on <= {{ as_of() }}

),

-- what ended stays to be read until the next one begins, also while everybody gets the same
periods as (

    select *
    from recorded
    where {{ splits_users('variants', 'holdout_share') }}
    qualify row_number() over (partition by campaign_id order by started_on desc) = 1

),

of_plans as (

    select
        planned.campaign_id,
        min(planned.audience) as audience,
        bool_or(recorded.campaign_id is not null) as is_recorded
    from {{ ref('stg_planned_contacts') }} as planned
    left join (select distinct campaign_id from recorded) as recorded on planned.campaign_id = recorded.campaign_id
    where planned.plan_date <= {{ as_of() }}
    group by planned.campaign_id

),

settings as (

    select * from {{ ref('campaign_settings') }}

),

planned as (

    select
        of_plans.campaign_id,
        true as is_planned,
        coalesce(periods.started_on, {{ start_of_time() }}) as started_on,
        case
            when of_plans.is_recorded then periods.variants else coalesce(settings.variants, audiences.variants)
        end as variants,
        case
            when of_plans.is_recorded then periods.holdout_share
            else coalesce(settings.holdout_share, audiences.holdout_share)
        end as holdout_share,
        settings.test_ends_on,
        {{ add_days('periods.next_started_on', -1) }} as ended_on
    from of_plans
    left join periods on of_plans.campaign_id = periods.campaign_id
    left join settings on of_plans.campaign_id = settings.campaign_id
    left join {{ ref('int_audiences') }} as audiences on of_plans.audience = audiences.audience

),

-- others send these: their log alone tells of the variants
logged as (

    select
        messages.campaign_id,
        false as is_planned,
        {{ start_of_time() }} as started_on,
        settings.variants,
        cast(0 as decimal(9, 6)) as holdout_share,
        settings.test_ends_on,
        cast(null as date) as ended_on
    from (
        select distinct campaign_id
        from {{ ref('fct_contacts') }}
        where campaign_id is not null and variant is not null and {{ in_last('contact_date', var('measures_days')) }}
    ) as messages
    left join of_plans on messages.campaign_id = of_plans.campaign_id
    left join settings on messages.campaign_id = settings.campaign_id
    where of_plans.campaign_id is null

),

campaigns as (

    select campaign_id, {{ business_date('ends_at') }} as ends_on
    from {{ ref('stg_campaigns') }}
    where {{ known_on(as_of()) }}

)

select
    tests.campaign_id,
    tests.is_planned,
    tests.started_on,
    case
        when tests.ended_on <= coalesce(tests.test_ends_on, campaigns.ends_on, tests.ended_on) then tests.ended_on
        else coalesce(tests.test_ends_on, campaigns.ends_on)
    end as ends_on,
    tests.variants,
    tests.holdout_share
from (select * from planned union all select * from logged) as tests
left join campaigns on tests.campaign_id = campaigns.campaign_id
where not tests.is_planned or {{ splits_users('tests.variants', 'tests.holdout_share') }}
