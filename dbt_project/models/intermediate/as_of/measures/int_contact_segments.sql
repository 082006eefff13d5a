-- One row per (user_id, contact_date) with a contact in the measured days: the policy segment as of the day before, by what was known then.
{{ config(database='build') }}

with

contacts as (

    select distinct user_id, contact_date, {{ add_days('contact_date', -1) }} as eve
    from {{ ref('fct_contacts') }}
    where is_contact and {{ in_last('contact_date', var('measures_days')) }}

),

-- unsubscribes and complaints
refusals as (

    select
        messages.user_id,
        greatest(events.event_date, messages.contact_date) as valid_from,
        {{ add_days('events.event_date', var('fatigue_signal_days')) }} as valid_to
    from {{ ref('int_message_events__classified') }} as events
    inner join {{ ref('fct_contacts') }} as messages on events.message_id = messages.message_id
    where
        (events.is_unsubscribed or events.is_complained)
        and {{ in_last('events.event_date', var('measures_days') + var('fatigue_signal_days')) }}

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
        and {{ in_last('orders.order_date', var('measures_days') + var('post_purchase_follow_up_days')) }}

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
left join {{ ref('int_engagement_spans') }} as spans
    on
        contacts.user_id = spans.user_id
        and spans.valid_from <= contacts.eve
        and contacts.eve < spans.valid_to
