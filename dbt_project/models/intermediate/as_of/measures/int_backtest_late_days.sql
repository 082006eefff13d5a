-- One row per (cut_date, user_id, activity_date) that the rollups can't tell of as it was known at the end of the cut date: some of it was received later, or it is the day of the last order.
{{ config(database='build') }}

with

last_orders as (

    select * from {{ ref('int_backtest_orders') }}

),

touched_days as (

    select cut_date, user_id, activity_date from {{ ref('int_backtest_needed_days') }} where is_touched

),

classified as (

    select
        credited.*,
        taxonomy.class as event_class,
        coalesce(taxonomy.is_visit, false) as is_visit,
        coalesce(taxonomy.intent_weight, 0) as intent_weight
    from {{ ref('int_backtest_events') }} as credited
    left join {{ ref('event_taxonomy') }} as taxonomy on lower(credited.event_name) = lower(taxonomy.event)

),

states as (

    select user_id, activity_date, cut_date as state_date, occurred_at, session_id
    from classified
    where is_visit

),

{{ visit_ctes() }},

visit_days as (

    select visits.user_id, visits.activity_date, visits.state_date, count(*) as visits
    from visits
    group by visits.user_id, visits.activity_date, visits.state_date

),

event_days as (

    select
        classified.cut_date,
        classified.user_id,
        classified.activity_date,
        count(case when classified.event_class = 'cart_add' then 1 end) as cart_adds,
        count(case when classified.event_class = 'product_view' then 1 end) as product_views,
        sum(
            case when last_orders.user_id is null or classified.occurred_at > last_orders.last_ordered_at then classified.intent_weight end
        ) as intent
    from classified
    left join last_orders
        on classified.cut_date = last_orders.cut_date and classified.user_id = last_orders.user_id
    group by classified.cut_date, classified.user_id, classified.activity_date

)

select
    touched_days.cut_date,
    touched_days.user_id,
    touched_days.activity_date,
    cast(coalesce(visit_days.visits, 0) as bigint) as visits,
    cast(coalesce(visit_days.visits, 0) - case when coalesce(continued.is_continued, false) then 1 else 0 end as bigint) as visits_begun,
    cast(coalesce(event_days.cart_adds, 0) as bigint) as cart_adds,
    cast(coalesce(event_days.product_views, 0) as bigint) as product_views,
    -- of what came after the last order
    cast(coalesce(event_days.intent, 0) as decimal(18, 3)) as intent
from touched_days
left join visit_days
    on
        touched_days.cut_date = visit_days.state_date
        and touched_days.user_id = visit_days.user_id
        and touched_days.activity_date = visit_days.activity_date
left join continued
    on
        touched_days.cut_date = continued.state_date
        and touched_days.user_id = continued.user_id
        and touched_days.activity_date = continued.activity_date
left join event_days
    on
        touched_days.cut_date = event_days.cut_date
        and touched_days.user_id = event_days.user_id
        and touched_days.activity_date = event_days.activity_date
