-- One row per (message_id): a message.
with

source as (

    select * from {{ source('raw', 'messages') }}

)

select
    message_id,
    user_id,
    channel,
    provider,
    campaign_id,
    variant,
    coalesce(message_class, 'marketing') as message_class,
    labels,
    sent_at,
    {{ business_date('sent_at') }} as contact_date,
    load_id
from source
