-- One row per known user: whether the user buys often, and large baskets.
with

users as (

    select * from {{ ref('int_known_users') }}

),

cuts as (

    select max(value) as order_value_cut
    from {{ ref('int_rfm_cut_points') }}
    where cut_set = 'current' and measure = 'order_value'

),

orders as (

    select buyers.user_id, buyers.orders_in_year, buyers.mean_order_value, cuts.order_value_cut
    from {{ ref('int_user_orders') }} as buyers
    cross join cuts

)

select
    users.user_id,
    case when orders.user_id is null then 'no_orders' else {{ loyalty_basket('orders') }} end as segment
from users
left join orders on users.user_id = orders.user_id
