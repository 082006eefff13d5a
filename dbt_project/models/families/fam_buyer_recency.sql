-- One row per known user: how long ago the last order was.
with

users as (

    select * from {{ ref('int_known_users') }}

),

orders as (

    select * from {{ ref('int_user_orders') }}

)

select
    users.user_id,
    case
        when orders.user_id is null then 'potential'
        when {{ age('orders.last_order_date') }} <= {{ var('buyer_recency_week_days') }} then 'week'
        when {{ age('orders.last_order_date') }} <= {{ var('buyer_recency_month_days') }} then 'month'
        when {{ age('orders.last_order_date') }} <= {{ var('buyer_recency_year_days') }} then 'year'
        else 'older'
    end as segment
from users
left join orders on users.user_id = orders.user_id
