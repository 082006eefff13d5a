-- One row per (campaign_id, user_id) that a test has assigned in the measured days: to what, from which date on, and what the user did from then on.
{{ config(database='build') }}
{%- set last_day = add_days('units.starts_on', var('outcome_days') - 1) %}
{%- set last_visit_day = add_days('units.starts_on', var('outcome_visit_days') - 1) %}

with

tests as (

    select campaign_id, is_planned, started_on, coalesce(ends_on, {{ end_of_time() }}) as ends_on
    from {{ ref('int_ab_tests') }}

),

assignments as (

    select
        planned.campaign_id,
        planned.user_id,
        planned.plan_date as starts_on,
        planned.variant,
        planned.holdout_kind,
        row_number() over (
            partition by planned.campaign_id, planned.user_id order by planned.plan_date, planned.audience, planned.channel
        ) as place
    from {{ ref('stg_planned_contacts') }} as planned
    inner join tests on planned.campaign_id = tests.campaign_id and tests.is_planned
    where
        planned.plan_date <= {{ as_of() }}
        and planned.plan_date >= tests.started_on
        and planned.plan_date <= tests.ends_on

    union all

    select
        messages.campaign_id,
        messages.user_id,
        messages.contact_date as starts_on,
        messages.variant,
        cast(null as string) as holdout_kind,
        row_number() over (
            partition by messages.campaign_id, messages.user_id order by messages.sent_at, messages.message_id
        ) as place
    from {{ ref('fct_contacts') }} as messages
    inner join tests on messages.campaign_id = tests.campaign_id and not tests.is_planned
    where messages.contact_date <= tests.ends_on

),

units as (

    select campaign_id, user_id, starts_on, variant, holdout_kind
    from assignments
    where place = 1 and {{ in_last('starts_on', var('measures_days')) }}

),

orders as (

    select
        units.campaign_id,
        units.user_id,
        count(*) as orders,
        cast(sum(coalesce(orders.revenue, 0)) as decimal(18, 2)) as revenue
    from units
    inner join {{ ref('int_measured_orders') }} as orders
        on
            units.user_id = orders.user_id
            and orders.order_date >= units.starts_on
            and orders.order_date <= {{ last_day }}
    group by units.campaign_id, units.user_id

),

visits as (

    select distinct units.campaign_id, units.user_id
    from units
    inner join {{ ref('int_sessions') }} as sessions
        on
            units.user_id = sessions.user_id
            and sessions.activity_date >= units.starts_on
            and sessions.activity_date <= {{ last_visit_day }}
    where {{ known_on(as_of()) }} and {{ in_last('sessions.activity_date', var('measures_days')) }}

),

messages as (

    select messages.message_id, units.campaign_id, units.user_id, least({{ last_day }}, {{ as_of() }}) as last_day
    from units
    inner join {{ ref('fct_contacts') }} as messages
        on
            units.user_id = messages.user_id
            and units.campaign_id = messages.campaign_id
            and messages.contact_date >= units.starts_on
            and messages.contact_date <= {{ last_day }}
    where messages.is_clicked or messages.is_unsubscribed

),

reactions as (

    select
        messages.campaign_id,
        messages.user_id,
        bool_or(events.is_click) as has_clicked,
        bool_or(events.is_unsubscribed) as has_unsubscribed
    from messages
    inner join {{ ref('int_message_events__classified') }} as events
        on messages.message_id = events.message_id and events.event_date <= messages.last_day
    group by messages.campaign_id, messages.user_id

)

select
    units.campaign_id,
    units.user_id,
    units.starts_on,
    units.variant,
    units.holdout_kind,
    {{ last_day }} <= {{ as_of() }} as is_over,
    {{ last_visit_day }} <= {{ as_of() }} as is_over_for_visits,
    coalesce(reactions.has_clicked, false) as has_clicked,
    coalesce(reactions.has_unsubscribed, false) as has_unsubscribed,
    orders.user_id is not null as has_ordered,
    coalesce(orders.revenue, 0) as revenue,
    visits.user_id is not null as has_visited
from units
left join orders on units.campaign_id = orders.campaign_id and units.user_id = orders.user_id
left join visits on units.campaign_id = visits.campaign_id and units.user_id = visits.user_id
left join reactions on units.campaign_id = reactions.campaign_id and units.user_id = reactions.user_id
