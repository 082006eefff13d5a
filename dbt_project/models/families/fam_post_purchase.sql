-- One row per known user: whether the last order asks for care, or the next cycle begins.
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
        when {{ age('orders.last_order_date') }} <= {{ var('post_purchase_follow_up_days') }} then 'in_follow_up'
        when {{ age('orders.last_order_date') }} <= {{ var('post_purchase_cycle_days') }} then 'cycle_due'
        else 'none'
    end as segment
from users
left join orders on users.user_id = orders.user_id
