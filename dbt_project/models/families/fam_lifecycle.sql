-- One row per known user: where the user stands between the first order and the last.
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
        when orders.user_id is null then 'prospect'
        when {{ age('orders.last_order_date') }} > {{ var('lifecycle_churned_days') }} then 'churned'
        when {{ age('orders.last_order_date') }} > {{ var('lifecycle_lapsed_days') }} then 'lapsed'
        when {{ age('orders.last_order_date') }} > {{ var('lifecycle_lapsing_days') }} then 'lapsing'
        when orders.orders_in_year >= {{ var('lifecycle_loyal_orders') }} then 'loyal'
        when orders.orders = 1 then 'first_time_buyer'
        else 'repeat_buyer'
    end as segment
from users
left join orders on users.user_id = orders.user_id
