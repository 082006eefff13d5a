-- One row per (user_id, contact_date) with a message that may be a contact: the policy segment as of the day before, by what was known then.
{{ config(
    unique_key=['user_id', 'contact_date'],
    meta={'touched_by': 'touched_contact_segments', 'touched_keys': ['user_id', 'contact_date'],
          'built_by_month_of': ['messages', 'sent_at', 4], 'logic_version': 1,
          'fingerprint_seeds': ['channels'],
          'fingerprint_vars': ['fatigue_signal_days', 'post_purchase_follow_up_days']}
) }}
-- depends_on: {{ ref('touched_contact_segments') }}

with

messages as (

    select user_id, channel, message_class, contact_date
    from {{ ref('int_message_outcomes') }} as source
    {{ only_touched(['user_id', 'contact_date'], ref('touched_contact_segments'), part=['contact_date', 'sent_at']) }}

),

contacts as (

    select distinct messages.user_id, messages.contact_date, {{ add_days('messages.contact_date', -1) }} as eve
    from messages
    inner join {{ ref('channels') }} as channels
        on messages.channel = channels.channel and channels.counts_towards_pressure
    where messages.message_class = 'marketing'

),

-- unsubscribes and complaints
refusals as (

    select
        messages.user_id,
        greatest(events.event_date, messages.contact_date) as valid_from,
        {{ add_days('events.event_date', var('fatigue_signal_days')) }} as valid_to
    from {{ ref('int_message_events__classified') }} as events
    inner join {{ ref('int_message_outcomes') }} as messages on events.message_id = messages.message_id
    where
        (events.is_unsubscribed or events.is_complained)
        and {{ in_part('events', 'event_date', 'occurred_at', days_before=var('fatigue_signal_days') + 1) }}
        and (messages.unsubscribed_date is not null or messages.complained_date is not null)

),

-- the pause that follows an order, while it counts as one
pauses as (

    select
        orders.user_id,
        greatest(orders.known_from, orders.order_date) as valid_from,
        least(orders.known_until, {{ add_days('orders.order_date', var('post_purchase_follow_up_days')) }}) as valid_to
    from {{ ref('stg_orders') }} as orders
    where
        {{ is_order('orders') }}
        and {{ in_part('orders', 'order_date', days_before=var('post_purchase_follow_up_days') + 1) }}

),

spans as (

    select user_id, segment, valid_from, valid_to
    from {{ ref('int_engagement_spans') }}
    where valid_to >= {{ add_days(part_from(), -1) }} and {{ before_end_of_part('valid_from', part_until()) }}

),

refused as (

    select distinct contacts.user_id, contacts.contact_date
    from contacts
    inner join refusals
        on
            contacts.user_id = refusals.user_id
            and refusals.valid_from <= contacts.eve
            and contacts.eve < refusals.valid_to

),

paused as (

    select distinct contacts.user_id, contacts.contact_date
    from contacts
    inner join pauses
        on
            contacts.user_id = pauses.user_id
            and pauses.valid_from <= contacts.eve
            and contacts.eve < pauses.valid_to

)

select
    contacts.user_id,
    contacts.contact_date,
    case
        when refused.user_id is not null or tired.user_id is not null then 'fatigued'
        when paused.user_id is not null then 'recent_buyer'
        when spans.segment in ('dormant', 'new', 'one_time', 'engaged') then spans.segment
        else 'default'
    end as policy_segment
from contacts
left join refused on contacts.user_id = refused.user_id and contacts.contact_date = refused.contact_date
left join {{ ref('int_fatigued_before_contacts') }} as tired
    on contacts.user_id = tired.user_id and contacts.contact_date = tired.contact_date
left join paused on contacts.user_id = paused.user_id and contacts.contact_date = paused.contact_date
left join spans
    on
        contacts.user_id = spans.user_id
        and spans.valid_from <= contacts.eve
        and contacts.eve < spans.valid_to
