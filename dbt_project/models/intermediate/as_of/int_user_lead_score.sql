-- One row per user with a sign of intent lately and after the last order: the lead score, and the dates with product views, as of the date.
{{ config(database='build') }}

with

last_orders as (

    select user_id, max(ordered_at) as last_ordered_at, max(order_date) as last_order_date
    from {{ ref('int_recent_orders') }}
    group by user_id

),

factors as (

    select * from {{ ref('decay_factors') }}

),

days as (

    select
        activity.user_id,
        activity.activity_date,
        sum(activity.intent) as intent,
        sum(activity.product_views) as product_views
    from {{ ref('int_user_activity_daily') }} as activity
    left join last_orders on activity.user_id = last_orders.user_id
    where
        activity.known_date <= {{ as_of() }}
        and {{ in_last('activity.activity_date', var('lead_days')) }}
        and (last_orders.user_id is null or activity.activity_date > last_orders.last_order_date)
    group by activity.user_id, activity.activity_date

),

-- on the date of the last order only what came after it
order_days as (

    select
        events.user_id,
        events.activity_date,
        sum(events.intent_weight) as intent,
        count(case when events.event_class = 'product_view' then 1 end) as product_views
    from {{ ref('int_recent_events') }} as events
    inner join last_orders
        on events.user_id = last_orders.user_id and events.activity_date = last_orders.last_order_date
    where
        events.known_date <= {{ as_of() }}
        and {{ in_last('events.activity_date', var('lead_days')) }}
        and events.occurred_at > last_orders.last_ordered_at
    group by events.user_id, events.activity_date

),

all_days as (

    select user_id, activity_date, intent, product_views from days

    union all

    select user_id, activity_date, intent, product_views from order_days

)

select
    all_days.user_id,
    round(cast(sum(cast(all_days.intent as decimal(18, 3)) * factors.factor) as double), 6) as lead_score,
    count(case when all_days.product_views > 0 and {{ in_last('all_days.activity_date', var('lead_hot_view_days')) }} then 1 end) as product_view_dates
from all_days
inner join factors on {{ age('all_days.activity_date') }} = factors.age_days
group by all_days.user_id
