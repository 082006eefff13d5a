-- One row per (message_id): a message with the date from which each thing is known of it, by every event that is loaded; once true, it stays.
{{ config(
    unique_key=['message_id'],
    meta={'touched_by': 'touched_user_contacts', 'touched_keys': ['user_id', 'contact_date'], 'logic_version': 1,
          'fingerprint_vars': ['business_time_zone']}
) }}
-- depends_on: {{ ref('touched_user_contacts') }}
{%- set other_names = message_signal_names() | reject('in', delivery_signal_names()) | list %}
{#- Read twice, and no CTE: kept, it would be every event there is. #}
{%- set events %}
        select * from {{ ref('int_message_events__classified') }}
        {%- if is_incremental() %}
        where message_id in (select message_id from messages)
        {%- endif %}
    {% endset %}

with

messages as (

    select * from {{ ref('stg_messages') }} as source
    {{ only_touched(['user_id', 'contact_date'], ref('touched_user_contacts')) }}

),

-- what nearly every message has is apart from what few have: all of it for each would be the widest thing in memory
deliveries as (

    select message_id, {{ message_signals(delivery_signal_names()) }}
    from ({{ events }}) as events
    group by message_id

),

others as (

    select message_id, {{ message_signals(other_names) }}
    from ({{ events }}) as events
    where not is_delivered
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
    {{ 'others' if name in other_names else 'deliveries' }}.{{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
from messages
left join deliveries on messages.message_id = deliveries.message_id
left join others on messages.message_id = others.message_id
