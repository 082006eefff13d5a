-- One row per message sent by the date: what became of it, as known by then. Flags may be added up, dates may not.
with

messages as (

    select * from {{ ref('stg_messages') }} where contact_date <= {{ as_of() }}

),

events as (

    select * from {{ ref('int_message_events__classified') }} where event_date <= {{ as_of() }}

),

channels as (

    select * from {{ ref('channels') }}

),

signals as (

    select
        message_id,
        bool_or(is_delivered) as is_delivered,
        bool_or(is_open) as is_opened,
        bool_or(is_click) as is_clicked,
        bool_or(is_failed) as is_failed,
        bool_or(is_hard_bounce) as is_hard_bounced,
        bool_or(is_complained) as is_complained,
        bool_or(is_unsubscribed) as is_unsubscribed,
        max(case when is_soft_bounce then occurred_at end) as bounced_at,
        max(case when is_arrival then occurred_at end) as arrived_at,
        max(case when is_reaction then occurred_at end) as last_reaction_at,
        max(case when is_open then occurred_at end) as last_opened_at,
        max(case when is_click then occurred_at end) as last_clicked_at
    from events
    group by message_id

),

outcomes as (

    -- a later sign of arrival takes a soft bounce back
    select
        *,
        is_hard_bounced
        or (bounced_at is not null and coalesce(arrived_at <= bounced_at, true)) as is_bounced
    from signals

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
    -- a contact: marketing, on a channel that counts, and nothing says that it did not arrive
    messages.message_class = 'marketing'
    and channels.counts_towards_pressure
    and not coalesce(outcomes.is_failed, false)
    and not coalesce(outcomes.is_bounced, false) as is_contact,
    coalesce(outcomes.is_delivered, false) as is_delivered,
    coalesce(outcomes.is_opened, false) as is_opened,
    coalesce(outcomes.is_clicked, false) as is_clicked,
    coalesce(outcomes.is_failed, false) as is_failed,
    coalesce(outcomes.is_bounced, false) as is_bounced,
    coalesce(outcomes.is_hard_bounced, false) as is_hard_bounced,
    coalesce(outcomes.is_complained, false) as is_complained,
    coalesce(outcomes.is_unsubscribed, false) as is_unsubscribed,
    outcomes.last_reaction_at,
    outcomes.last_opened_at,
    outcomes.last_clicked_at
from messages
inner join channels on messages.channel = channels.channel
left join outcomes on messages.message_id = outcomes.message_id
