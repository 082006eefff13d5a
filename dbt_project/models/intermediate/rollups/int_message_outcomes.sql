-- One row per (message_id): a message with the date from which each thing is known of it, by every event that is loaded; once true, it stays.
{{ config(
    unique_key=['message_id'],
    meta={'touched_by': 'touched_user_contacts', 'touched_keys': ['user_id', 'contact_date'], 'logic_version': 1,
          'fingerprint_vars': ['business_time_zone']}
) }}
-- depends_on: {{ ref('touched_user_contacts') }}

with

messages as (

    select * from {{ ref('stg_messages') }} as source
    {{ only_touched(['user_id', 'contact_date'], ref('touched_user_contacts')) }}

),

events as (

    select * from {{ ref('int_message_events__classified') }}
    {%- if is_incremental() %}
    where message_id in (select message_id from messages)
    {%- endif %}

),

signals as (

    select message_id, {{ message_signals() }}
    from events
    group by message_id

)

select
    messages.message_id,
    messages.user_id,
    messages.channel,
    messages.provider,
    messages.campaign_id,
    messages.variant,
    messages.message_class,
    {{ list_as_text('messages.labels') }} as labels,
    messages.sent_at,
    messages.contact_date,
    {%- for name in message_signal_names() %}
    signals.{{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from messages
left join signals on messages.message_id = signals.message_id
