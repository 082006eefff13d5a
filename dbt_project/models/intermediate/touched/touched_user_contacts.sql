-- One row per (user_id, contact_date) whose messages rows loaded since the last build of the rollups of messages touch.
{%- set rollups = ['int_message_outcomes', 'int_fatigued_before_contacts', 'int_segments_before_contacts'] %}
with

messages as (

    select message_id from {{ ref('stg_message_events') }} where {{ loaded_since(rollups) }}

    union

    select coalesce(parent_id, key_id) as message_id
    from {{ source('raw', 'touches') }}
    where dataset in ('messages', 'message_events') and {{ loaded_since(rollups) }}

)

select user_id, contact_date from {{ ref('stg_messages') }} where {{ loaded_since(rollups) }}

union

select stg_messages.user_id, stg_messages.contact_date
from {{ ref('stg_messages') }} as stg_messages
inner join messages on stg_messages.message_id = messages.message_id

union

select user_id, {{ business_date('happened_at') }} as contact_date
from {{ source('raw', 'touches') }}
where dataset = 'messages' and {{ loaded_since(rollups) }}
