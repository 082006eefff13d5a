-- One row per (order_id, line_number): an order line.
with

source as (

    select * from {{ source('raw', 'order_items') }}

)

select
    order_id,
    line_number,
    product_id,
    category,
    quantity,
    unit_price,
    load_id
from source
