-- One row per (user_id, product_id, category) of a line bought in the days before the plan date.
{{ config(database='build') }}

with

orders as (

    select * from {{ ref('int_recent_orders') }}
    where order_date > {{ add_days(plan_date(), -var('just_bought_days')) }} and order_date <= {{ plan_date() }}

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
