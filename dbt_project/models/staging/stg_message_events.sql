-- One row per (event_id): a message event.
with

source as (

    select * from {{ source('raw', 'message_events') }}

)

select
    event_id,
    message_id,
    event,
    occurred_at,
    {{ business_date('occurred_at') }} as event_date,
    coalesce(is_machine, false) as is_machine,
    coalesce(is_machine_open, false) as is_machine_open,
    bounce_type,
    link_url,
    load_id
from source
