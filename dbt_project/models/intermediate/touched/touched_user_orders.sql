-- One row per (user_id, order_date) whose orders rows loaded since the last build of the rollups of orders touch.
{%- set rollups = ['int_user_orders_daily', 'int_fatigued_before_contacts', 'int_segments_before_contacts'] %}
with

orders as (

    select order_id from {{ source('raw', 'orders') }} where {{ loaded_since(rollups) }}

    union

    select order_id from {{ ref('stg_order_items') }} where {{ loaded_since(rollups) }}

    union

    select coalesce(parent_id, key_id) as order_id
    from {{ source('raw', 'touches') }}
    where dataset in ('orders', 'order_items') and {{ loaded_since(rollups) }}

)

-- every row ever loaded, also one that another of equal time has beaten since: old and new dates, old and new users
select distinct versions.user_id, {{ business_date('versions.ordered_at') }} as order_date
from {{ source('raw', 'orders') }} as versions
inner join orders on versions.order_id = orders.order_id

union

select user_id, {{ business_date('happened_at') }} as order_date
from {{ source('raw', 'touches') }}
where dataset = 'orders' and {{ loaded_since(rollups) }}
