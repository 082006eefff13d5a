-- One row per (user_id, contact_date) with a message that may be a contact, before which the user had as many contacts without an answer as make somebody fatigued, as known on the day before.
{{ config(
    unique_key=['user_id', 'contact_date'],
    meta={'touched_by': 'touched_contact_segments', 'touched_keys': ['user_id', 'contact_date'],
          'built_by_month_of': ['messages', 'sent_at', 4], 'logic_version': 1,
          'fingerprint_seeds': ['channels'],
          'fingerprint_vars': ['fatigue_contact_days', 'fatigue_contacts']}
) }}
-- depends_on: {{ ref('touched_contact_segments') }}
{%- set days = var('fatigue_contact_days') %}
{#- A message of the window's first day may be sent at its midnight, and answered by a visit of the day before. #}
{%- set reach = days + 1 %}

with

{%- if is_incremental() %}

users_touched as (

    select user_id, min(contact_date) as first_date from {{ ref('touched_contact_segments') }} group by user_id

),
{%- endif %}

-- whatever could have been a contact: that it failed or bounced may have become known later than the day asked about
messages as (

    select
        messages.message_id,
        messages.user_id,
        messages.sent_at,
        messages.contact_date,
        messages.failed_date is not null
        or messages.hard_bounced_date is not null
        or messages.bounced_at is not null as is_troubled,
        case when channels.reports_reactions then 1 else 0 end as is_asked
    from {{ ref('int_message_outcomes') }} as messages
    inner join {{ ref('channels') }} as channels
        on messages.channel = channels.channel and channels.counts_towards_pressure
    {%- if is_incremental() %}
    inner join users_touched
        on messages.user_id = users_touched.user_id and messages.contact_date > {{ add_days('users_touched.first_date', -reach) }}
    {%- endif %}
    where
        messages.message_class = 'marketing'
        {%- if not is_incremental() %}
        and {{ in_part('messages', 'contact_date', 'sent_at', days_before=reach) }}
        {%- endif %}

),

-- numbers of the messages on channels that report reactions; others have that of the one before
numbered as (

    select *, sum(is_asked) over (partition by user_id order by sent_at, message_id rows unbounded preceding) as number
    from messages

),

eves as (

    select
        user_id,
        contact_date,
        {{ add_days('contact_date', -1) }} as eve,
        min(number - is_asked) as last_number
    from numbered
    {{ only_touched(['user_id', 'contact_date'], ref('touched_contact_segments'), alias='numbered', part=['contact_date']) }}
    group by user_id, contact_date

),

-- eves with so many messages in the window: few, and all others are done with
crowded as (

    select eves.user_id, eves.contact_date, eves.eve, eves.last_number, first_needed.number as first_number
    from eves
    inner join numbered as first_needed
        on
            eves.user_id = first_needed.user_id
            and eves.last_number - {{ var('fatigue_contacts') - 1 }} = first_needed.number
            and first_needed.is_asked = 1
    where {{ days_between('first_needed.contact_date', 'eves.eve') }} < {{ days }}

),

users as (

    select distinct user_id from crowded

),

asked as (

    select numbered.*
    from numbered
    inner join users on numbered.user_id = users.user_id
    where numbered.is_asked = 1

),

-- answers, and the dates as of which they were known; a later link or version of an order may take one back
answers as (

    select
        messages.user_id,
        events.occurred_at as answered_at,
        greatest(events.event_date, messages.contact_date) as known_from,
        {{ end_of_time() }} as known_until
    from {{ ref('int_message_events__classified') }} as events
    inner join {{ ref('int_message_outcomes') }} as messages on events.message_id = messages.message_id
    inner join users on messages.user_id = users.user_id
    where
        events.is_reaction
        and messages.last_reaction_at is not null
        and {{ in_part('events', 'event_date', 'occurred_at', days_before=reach) }}

    union all

    select
        sessions.user_id,
        max(sessions.ended_at) as answered_at,
        sessions.known_from,
        sessions.known_until
    from {{ ref('int_sessions') }} as sessions
    inner join users on sessions.user_id = users.user_id
    where {{ in_part('sessions', 'activity_date', days_before=reach) }}
    group by sessions.user_id, sessions.activity_date, sessions.known_from, sessions.known_until

    union all

    select
        orders.user_id,
        orders.ordered_at as answered_at,
        greatest(orders.known_from, orders.order_date) as known_from,
        orders.known_until
    from {{ ref('stg_orders') }} as orders
    inner join users on orders.user_id = users.user_id
    where {{ is_order('orders') }} and {{ in_part('orders', 'order_date', days_before=reach) }}

),

-- messages and the answers that stay, from the last to the first; at the same time an answer is not after the message
timeline as (

    select user_id, sent_at as happened_at, 0 as is_answer, number, cast(null as date) as known_from
    from asked

    union all

    select user_id, answered_at as happened_at, 1 as is_answer, cast(null as bigint) as number, known_from
    from answers
    where known_until = {{ end_of_time() }}

),

answered as (

    select
        user_id,
        number,
        min(known_from) over (
            partition by user_id order by happened_at desc, is_answer rows unbounded preceding
        ) as answered_from
    from timeline

),

asked_and_answered as (

    select asked.*, answered.answered_from
    from asked
    inner join answered on asked.user_id = answered.user_id and asked.number = answered.number

),

silent as (

    select crowded.*
    from crowded
    inner join asked_and_answered as first_needed
        on crowded.user_id = first_needed.user_id and crowded.first_number = first_needed.number
    where first_needed.answered_from is null or first_needed.answered_from > crowded.eve

),

-- an answer that was known on the eve, and is no longer
passing as (

    select silent.user_id, silent.contact_date, max(answers.answered_at) as answered_at
    from silent
    inner join answers
        on
            silent.user_id = answers.user_id
            and answers.known_from <= silent.eve
            and silent.eve < answers.known_until
    where answers.known_until < {{ end_of_time() }}
    group by silent.user_id, silent.contact_date

),

-- what speaks of an arrival, of messages that failed or bounced
arrivals as (

    select events.*
    from {{ ref('int_message_events__classified') }} as events
    inner join asked on events.message_id = asked.message_id
    where
        asked.is_troubled
        and {{ before_end_of_part('events.occurred_at', 'cast(' ~ part_until() ~ " as timestamp) + interval '1' day") }}

),

bounces as (

    select
        message_id,
        event_date as bounced_from,
        coalesce(lead(event_date) over (partition by message_id order by event_date), {{ end_of_time() }}) as bounced_until,
        -- a later sign of arrival takes a soft bounce back
        max(case when is_soft_bounce then occurred_at end) >= coalesce(
            max(case when is_arrival then occurred_at end), max(case when is_soft_bounce then occurred_at end)
        ) as is_bounced
    from arrivals
    where is_soft_bounce or is_arrival
    group by message_id, event_date

),

lost as (

    select message_id, bounced_from as lost_from, bounced_until as lost_until from bounces where is_bounced

    union all

    select message_id, min(event_date) as lost_from, {{ end_of_time() }} as lost_until
    from arrivals
    where is_failed or is_hard_bounce
    group by message_id

)

select silent.user_id, silent.contact_date
from silent
inner join asked_and_answered as contacts
    on
        silent.user_id = contacts.user_id
        and contacts.number <= silent.last_number
        and {{ days_between('contacts.contact_date', 'silent.eve') }} < {{ days }}
        and (contacts.answered_from is null or contacts.answered_from > silent.eve)
left join passing
    on silent.user_id = passing.user_id and silent.contact_date = passing.contact_date
left join lost
    on contacts.message_id = lost.message_id and lost.lost_from <= silent.eve and silent.eve < lost.lost_until
where
    (passing.user_id is null or contacts.sent_at >= passing.answered_at)
    and lost.message_id is null
group by silent.user_id, silent.contact_date
having count(*) >= {{ var('fatigue_contacts') }}
