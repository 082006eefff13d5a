-- One row per campaign that splits its users, by variants or a holdout: since when it does so as it does now, until when, and how.
{{ config(database='build') }}

with

of_plans as (

    select campaign_id, min(audience) as audience
    from {{ ref('stg_planned_contacts') }}
    where plan_date <= {{ as_of() }}
    group by campaign_id

),

-- a test whose settings have changed is another one
periods as (

    select campaign_id, started_on, variants, holdout_share
    from {{ source('raw', 'planned_tests') }}
    where started_on <= {{ as_of() }}
    qualify row_number() over (partition by campaign_id order by started_on desc) = 1

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
            when periods.campaign_id is null then coalesce(settings.variants, audiences.variants) else periods.variants
        end as variants,
        case
            when periods.campaign_id is null then coalesce(settings.holdout_share, audiences.holdout_share)
            else periods.holdout_share
        end as holdout_share,
        settings.test_ends_on
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
        settings.test_ends_on
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
    coalesce(tests.test_ends_on, campaigns.ends_on) as ends_on,
    tests.variants,
    tests.holdout_share
from (select * from planned union all select * from logged) as tests
left join campaigns on tests.campaign_id = campaigns.campaign_id
where not tests.is_planned or tests.variants is not null or tests.holdout_share > 0
