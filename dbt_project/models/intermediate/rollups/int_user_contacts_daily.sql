-- One row per (user_id, contact_date, known_date, channel, message_class): signed changes; the sum over known_date <= D is the day as known by D.
{{ config(
    unique_key=['user_id', 'contact_date', 'known_date', 'channel', 'message_class'],
    meta={'touched_by': 'touched_user_contacts', 'touched_keys': ['user_id', 'contact_date'], 'logic_version': 1,
          'fingerprint_vars': ['business_time_zone']}
) }}
-- depends_on: {{ ref('touched_user_contacts') }}

{%- set flags = {
    'delivered': 'is_delivered', 'opened': 'is_open', 'clicked': 'is_click', 'failed': 'is_failed',
    'hard_bounced': 'is_hard_bounce', 'soft_bounced': 'is_soft_bounce', 'complained': 'is_complained',
    'unsubscribed': 'is_unsubscribed',
} %}
{%- set measures = ['sent', 'contacts'] + flags.keys() | list %}

with

messages as (

    select message_id, user_id, contact_date, channel, message_class
    from {{ ref('stg_messages') }} as source
    {{ only_touched(['user_id', 'contact_date'], ref('touched_user_contacts')) }}

),

events as (

    select
        messages.message_id,
        messages.contact_date,
        greatest(events.event_date, messages.contact_date) as known_date,
        events.occurred_at,
        events.is_arrival
        {%- for flag in flags.values() %},
        events.{{ flag }}
        {%- endfor %}
    from {{ ref('int_message_events__classified') }} as events
    inner join messages on events.message_id = messages.message_id

),

-- the date from which each thing is known of a message; once true, it stays
outcomes as (

    select
        message_id,
        min(case when is_failed or is_hard_bounce then known_date end) as lost_date
        {%- for name, flag in flags.items() %},
        min(case when {{ flag }} then known_date end) as {{ name }}_date
        {%- endfor %}
    from events
    group by message_id

),

-- a soft bounce is the one thing that a later sign of arrival takes back: these few messages day by day
bouncing as (

    select
        events.message_id,
        events.contact_date,
        events.known_date,
        max(case when events.is_soft_bounce then events.occurred_at end) as bounced_at,
        max(case when events.is_arrival then events.occurred_at end) as arrived_at
    from events
    inner join outcomes on events.message_id = outcomes.message_id and outcomes.soft_bounced_date is not null
    group by events.message_id, events.contact_date, events.known_date

),

bouncing_days as (

    select message_id, known_date, bounced_at, arrived_at from bouncing

    union all

    select distinct message_id, contact_date as known_date, cast(null as timestamp), cast(null as timestamp)
    from bouncing as first_days
    where not exists (
        select 1 from bouncing
        where bouncing.message_id = first_days.message_id and bouncing.known_date = first_days.contact_date
    )

),

bouncing_states as (

    select
        bouncing_days.message_id,
        bouncing_days.known_date,
        case
            when outcomes.lost_date <= bouncing_days.known_date then 0
            when max(bouncing_days.bounced_at) over past is null then 1
            when max(bouncing_days.arrived_at) over past > max(bouncing_days.bounced_at) over past then 1
            else 0
        end as contacts
    from bouncing_days
    inner join outcomes on bouncing_days.message_id = outcomes.message_id
    window past as (
        partition by bouncing_days.message_id order by bouncing_days.known_date
        rows between unbounded preceding and current row
    )

),

changes as (

    select message_id, contact_date as known_date, 'sent' as measure, 1 as change from messages

    union all

    select messages.message_id, messages.contact_date as known_date, 'contacts' as measure, 1 as change
    from messages
    left join outcomes on messages.message_id = outcomes.message_id
    where outcomes.soft_bounced_date is null

    union all

    select message_id, lost_date as known_date, 'contacts' as measure, -1 as change
    from outcomes
    where soft_bounced_date is null and lost_date is not null

    union all

    select
        message_id,
        known_date,
        'contacts' as measure,
        contacts - coalesce(lag(contacts) over (partition by message_id order by known_date), 0) as change
    from bouncing_states
    {%- for name in flags %}

    union all

    select message_id, {{ name }}_date as known_date, '{{ name }}' as measure, 1 as change
    from outcomes
    where {{ name }}_date is not null
    {%- endfor %}

)

select
    messages.user_id,
    messages.contact_date,
    changes.known_date,
    messages.channel,
    messages.message_class
    {%- for name in measures %},
    cast(coalesce(sum(case when changes.measure = '{{ name }}' then changes.change end), 0) as bigint) as {{ name }}
    {%- endfor %}
from changes
inner join messages on changes.message_id = messages.message_id
group by messages.user_id, messages.contact_date, changes.known_date, messages.channel, messages.message_class
having {% for name in measures %}{{ 'or ' if not loop.first }}coalesce(sum(case when changes.measure = '{{ name }}' then changes.change end), 0) <> 0 {% endfor %}
