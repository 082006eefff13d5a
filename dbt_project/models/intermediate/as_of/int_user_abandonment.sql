-- One row per user who left something behind on the date: the furthest step, and the last product and category of it.
{{ config(database='build') }}

with

events as (

    select *
    from {{ ref('int_recent_events') }}
    where
        activity_date = {{ as_of() }}
        and known_date <= {{ as_of() }}
        and event_class in ('checkout', 'cart_add', 'cart_remove', 'product_view', 'search', 'purchase')

),

purchases as (

    select user_id, occurred_at as purchased_at from events where event_class = 'purchase'

    union all

    select user_id, ordered_at as purchased_at from {{ ref('int_recent_orders') }} where order_date = {{ as_of() }}

),

last_purchases as (

    select user_id, max(purchased_at) as purchased_at from purchases group by user_id

),

-- what is taken out again was put in before
removals as (

    select
        user_id,
        'cart_add' as event_class,
        coalesce(product_id, '') as product_id,
        max(occurred_at) as removed_at
    from events
    where event_class = 'cart_remove'
    group by user_id, coalesce(product_id, '')

),

left_behind as (

    select
        events.user_id,
        events.event_id,
        events.occurred_at,
        events.product_id,
        events.category,
        case events.event_class when 'checkout' then 1 when 'cart_add' then 2 when 'product_view' then 3 else 4 end as step
    from events
    left join last_purchases on events.user_id = last_purchases.user_id
    left join removals
        on
            events.user_id = removals.user_id
            and events.event_class = removals.event_class
            and coalesce(events.product_id, '') = removals.product_id
    where
        events.event_class in ('checkout', 'cart_add', 'product_view', 'search')
        and (last_purchases.user_id is null or last_purchases.purchased_at < events.occurred_at)
        and (removals.user_id is null or removals.removed_at < events.occurred_at)

),

last_events as (

    select *
    from left_behind
    qualify row_number() over (partition by user_id order by step, occurred_at desc, event_id desc) = 1

),

products as (

    select product_id, category from {{ ref('stg_products') }} where {{ known_on(as_of()) }}

)

select
    last_events.user_id,
    case last_events.step when 1 then 'checkout' when 2 then 'cart' when 3 then 'product' else 'search' end as step,
    last_events.product_id,
    coalesce(last_events.category, products.category) as category
from last_events
left join products on last_events.product_id = products.product_id
