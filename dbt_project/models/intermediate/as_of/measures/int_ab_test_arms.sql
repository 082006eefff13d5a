-- One row per (campaign_id, comparison, arm, metric): sums over the users of an arm whose window is over, which is all that a test needs.
{{ config(database='build') }}
{%- set whether = {'click': 'has_clicked', 'order': 'has_ordered', 'unsubscribe': 'has_unsubscribed', 'visit': 'has_visited'} %}

with

tests as (

    select * from {{ ref('int_ab_tests') }}

),

units as (

    select * from {{ ref('int_ab_test_units') }}

),

parts as (

    select tests.campaign_id, numbers.n as position, {{ list_part('tests.variants', 'numbers.n') }} as part
    from tests
    cross join {{ series(1, 50) }} as numbers
    where tests.variants is not null

),

observed as (

    select distinct units.campaign_id, units.variant
    from units
    inner join tests on units.campaign_id = tests.campaign_id
    where tests.variants is null and not tests.is_planned and units.variant is not null

),

arms as (

    select
        campaign_id, 'variants' as comparison, position,
        {{ list_part('part', 1, ':') }} as arm,
        cast({{ list_part('part', 2, ':') }} as decimal(9, 6)) as share
    from parts
    where part is not null

    union all

    -- nobody has listed them: control first, and equally many each
    select
        campaign_id, 'variants' as comparison,
        row_number() over (
            partition by campaign_id order by case when variant = 'control' then 0 else 1 end, variant
        ) as position,
        variant as arm,
        cast(null as decimal(9, 6)) as share
    from observed

    union all

    select campaign_id, 'holdout' as comparison, 1 as position, 'holdout' as arm, holdout_share as share
    from tests
    where holdout_share > 0

    union all

    select campaign_id, 'holdout' as comparison, 2 as position, 'all' as arm, 1 - holdout_share as share
    from tests
    where holdout_share > 0

),

-- the universal holdout gets nothing of any campaign: it tells of no single one
assigned as (

    select 'variants' as comparison, variant as arm, units.* from units where holdout_kind is null

    union all

    select 'holdout' as comparison, case when holdout_kind = 'campaign' then 'holdout' else 'all' end as arm, units.*
    from units
    where holdout_kind is null or holdout_kind = 'campaign'

),

sums as (

    select
        campaign_id,
        comparison,
        arm,
        min(starts_on) as starts_on,
        count(*) as assigned,
        count(case when is_over then 1 end) as users,
        count(case when is_over_for_visits then 1 end) as visit_users,
        {%- for metric, flag in whether.items() %}
        count(case when {{ 'is_over_for_visits' if metric == 'visit' else 'is_over' }} and {{ flag }} then 1 end) as {{ metric }}_total,
        {%- endfor %}
        sum(case when is_over then revenue end) as revenue_total,
        sum(case when is_over then cast(revenue * revenue as decimal(38, 4)) end) as revenue_squares
    from assigned
    group by campaign_id, comparison, arm

),

measures as (
    {%- for metric in ['click', 'order', 'revenue', 'unsubscribe', 'visit'] %}

    select
        campaign_id,
        comparison,
        arm,
        '{{ metric }}' as metric,
        starts_on,
        assigned,
        {{ 'visit_users' if metric == 'visit' else 'users' }} as users,
        cast({{ metric }}_total as decimal(38, 4)) as total,
        cast({{ 'revenue_squares' if metric == 'revenue' else metric ~ '_total' }} as decimal(38, 4)) as total_squares
    from sums
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

metrics as (
    {%- for metric in ['click', 'order', 'revenue', 'unsubscribe', 'visit'] %}

    select '{{ metric }}' as metric, {{ (metric in ['order', 'revenue', 'visit']) | lower }} as is_of_holdout
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

-- campaigns nobody was assigned to lately have nothing to tell
begun as (

    select campaign_id, min(starts_on) as starts_on from units group by campaign_id

)

select
    arms.campaign_id,
    arms.comparison,
    cast(arms.position as integer) as position,
    arms.arm,
    arms.share,
    metrics.metric,
    begun.starts_on,
    tests.ends_on,
    -- until the days of those who came last are over: a result that is told does not change with each night
    coalesce(
        {{ add_days('tests.ends_on', "case when metrics.metric = 'visit' then " ~ var('outcome_visit_days') ~ " else " ~ var('outcome_days') ~ " end - 1") }}
        > {{ as_of() }},
        true
    ) as is_running,
    cast(coalesce(measures.assigned, 0) as bigint) as assigned,
    cast(coalesce(measures.users, 0) as bigint) as users,
    coalesce(measures.total, 0) as total,
    coalesce(measures.total_squares, 0) as total_squares
from arms
inner join begun on arms.campaign_id = begun.campaign_id
inner join tests on arms.campaign_id = tests.campaign_id
inner join metrics on arms.comparison = 'variants' or metrics.is_of_holdout
left join measures
    on
        arms.campaign_id = measures.campaign_id
        and arms.comparison = measures.comparison
        and arms.arm = measures.arm
        and metrics.metric = measures.metric
