-- One row per (event_id): an event.
with

source as (

    select * from {{ source('raw', 'events') }}

)

select
    event_id,
    user_id,
    anonymous_id,
    event as event_name,
    {{ adapter.quote('timestamp') }} as occurred_at,
    {{ business_date(adapter.quote('timestamp')) }} as activity_date,
    received_at,
    platform,
    session_id,
    product_id,
    category,
    order_id,
    value as event_value,
    currency,
    properties,
    load_id
from source
