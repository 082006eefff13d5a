-- One row per message sent by the date: what became of it, as known by then. Flags may be added up, dates may not.
{%- set told = ['message_id', 'user_id', 'channel', 'provider', 'campaign_id', 'variant', 'message_class', 'labels', 'sent_at', 'contact_date'] %}
with

channels as (

    select * from {{ ref('channels') }}

),

later as (

    select outcomes.*
    from {{ ref('int_message_outcomes') }} as outcomes
    inner join {{ ref('int_later_messages') }} as later on outcomes.message_id = later.message_id

),

-- the few are a table, whose size is known: with a condition in its place the engine keeps every event to find theirs
signals_by_then as (

    select message_id, {{ message_signals() }}
    from {{ ref('int_message_events__classified') }}
    where event_date <= {{ as_of() }} and message_id in (select message_id from {{ ref('int_later_messages') }})
    group by message_id

),

signals as (

    select {{ (told + message_signal_names()) | join(', ') }}
    from {{ ref('int_message_outcomes') }}
    where contact_date <= {{ as_of() }} and (last_event_date is null or last_event_date <= {{ as_of() }})

    union all

    select
        {%- for name in told %}
        later.{{ name }},
        {%- endfor %}
        {%- for name in message_signal_names() %}
        signals_by_then.{{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    from later
    left join signals_by_then on later.message_id = signals_by_then.message_id

),

outcomes as (

    -- a later sign of arrival takes a soft bounce back
    select
        *,
        hard_bounced_date is not null
        or (bounced_at is not null and coalesce(arrived_at <= bounced_at, true)) as is_bounced
    from signals

)

select
    outcomes.message_id,
    outcomes.user_id,
    outcomes.channel,
    outcomes.provider,
    outcomes.campaign_id,
    outcomes.variant,
    outcomes.message_class,
    outcomes.labels,
    outcomes.sent_at,
    outcomes.contact_date,
    -- a contact: marketing, on a channel that counts, and nothing says that it did not arrive
    outcomes.message_class = 'marketing'
    and channels.counts_towards_pressure
    and outcomes.failed_date is null
    and not outcomes.is_bounced as is_contact,
    outcomes.delivered_date is not null as is_delivered,
    outcomes.opened_date is not null as is_opened,
    outcomes.clicked_date is not null as is_clicked,
    outcomes.failed_date is not null as is_failed,
    outcomes.is_bounced,
    outcomes.hard_bounced_date is not null as is_hard_bounced,
    outcomes.complained_date is not null as is_complained,
    outcomes.unsubscribed_date is not null as is_unsubscribed,
    outcomes.last_reaction_at,
    outcomes.last_opened_at,
    outcomes.last_clicked_at
from outcomes
inner join channels on outcomes.channel = channels.channel
