-- One row per (user_id, product_id, category) of a line bought in the days before the plan date.
{{ config(database='build') }}

with

orders as (

    select * from {{ ref('int_recent_orders') }}
    where {{ days_between('order_date', plan_date()) }} between 0 and {{ var('just_bought_days') }} - 1

),

products as (

    select product_id, category from {{ ref('stg_products') }} where {{ known_on(as_of()) }}

)

select distinct
    orders.user_id,
    lines.product_id,
    coalesce(lines.category, products.category) as category
from orders
inner join {{ ref('stg_order_items') }} as lines on orders.order_id = lines.order_id
left join products on lines.product_id = products.product_id
