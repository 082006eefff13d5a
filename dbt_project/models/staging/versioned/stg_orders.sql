-- One row per (order_id, known_from): a version of an order, good as of the dates from known_from until known_until.
{{ config(unique_key=['order_id'], meta={'touched_by': 'touched_orders', 'touched_keys': ['order_id'], 'logic_version': 1}) }}
-- depends_on: {{ ref('touched_orders') }}

with

source as (

    select * from {{ source('raw', 'orders') }} as source
    {{ only_touched(['order_id'], ref('touched_orders')) }}

),

renamed as (

    select
        order_id,
        user_id,
        ordered_at,
        {{ business_date('ordered_at') }} as order_date,
        coalesce(status, 'completed') as status,
        gross_amount,
        coalesce(discount_amount, 0) as discount_amount,
        coalesce(refunded_amount, 0) as refunded_amount,
        coalesce(shipping_amount, 0) as shipping_amount,
        coalesce(tax_amount, 0) as tax_amount,
        upper(currency) as currency,
        coupon,
        coalesce(updated_at, ordered_at) as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['order_id'], status_order=order_status_rank('status')) }}

select
    order_id,
    user_id,
    ordered_at,
    order_date,
    case when is_before_known then 'placed' else status end as status,
    gross_amount,
    discount_amount,
    case when is_before_known then 0 else refunded_amount end as refunded_amount,
    shipping_amount,
    tax_amount,
    currency,
    coupon,
    known_from,
    known_until,
    has_equal_times
from versions
