-- One row per (user_id, channel, contact_date) with a message by the date: contacts, and how many were opened or clicked; days before every window are one row, of the last contact among them.
{{ config(database='build') }}
{%- set days = ([var('pressure_decay_days'), var('pressure_month_days'), var('pressure_rested_days'), var('fatigue_contact_days')] + var('response_days')) | max %}

with

channels as (

    select * from {{ ref('channels') }}

),

factors as (

    select * from {{ ref('decay_factors') }}

),

planned as (

    -- no cap looks further back than the longest window
    select * from {{ ref('int_planned_contacts') }}
    where
        not is_carried
        and (is_pending or {{ age('plan_date') }} <= (select max(window_days) from {{ ref('contact_policy') }}))

),

-- the dates on which the message of a planned contact may be sent
carried as (

    select user_id, campaign_id, channel, plan_date as contact_date from planned

    union

    select user_id, campaign_id, channel, {{ add_days('plan_date', 1) }} as contact_date from planned

),

-- days after it are kept apart: some window has them
windows as (

    select {{ add_days(as_of(), '-greatest(' ~ days ~ ', (select coalesce(max(window_days), 0) from ' ~ ref('contact_policy') ~ '), (select coalesce(max(min_days), 0) from ' ~ ref('channel_gaps') ~ '))') }} as last_old_date

),

last_reactions as (

    select user_id, max(last_reaction_at) as last_reaction_at
    from {{ ref('fct_contacts') }}
    where last_reaction_at is not null
    group by user_id

),

contacts as (

    select
        messages.user_id,
        messages.channel,
        messages.contact_date,
        messages.is_contact,
        messages.is_contact as is_logged_contact,
        messages.is_contact and messages.is_opened as is_opened,
        messages.is_contact and messages.is_clicked as is_clicked,
        messages.is_contact
        and (last_reactions.user_id is null or messages.sent_at > last_reactions.last_reaction_at) as is_since_reaction,
        messages.is_contact and carried.user_id is not null as is_planned,
        messages.message_class <> 'marketing' as is_uncounted
    from {{ ref('fct_contacts') }} as messages
    left join last_reactions on messages.user_id = last_reactions.user_id
    left join carried
        on
            messages.user_id = carried.user_id
            and messages.campaign_id = carried.campaign_id
            and messages.channel = carried.channel
            and messages.contact_date = carried.contact_date

    union all

    -- a planned contact counts until its log comes
    select
        planned.user_id,
        planned.channel,
        planned.plan_date as contact_date,
        true as is_contact,
        false as is_logged_contact,
        false as is_opened,
        false as is_clicked,
        last_reactions.user_id is null
        or planned.plan_date >= {{ business_date('last_reactions.last_reaction_at') }} as is_since_reaction,
        true as is_planned,
        false as is_uncounted
    from (select distinct user_id, campaign_id, channel, plan_date from planned where is_pending) as planned
    left join last_reactions on planned.user_id = last_reactions.user_id

),

recent_or_old as (

    select
        contacts.*,
        case when contacts.contact_date > windows.last_old_date then contacts.contact_date end as recent_date
    from contacts
    cross join windows

),

days as (

    select
        user_id,
        channel,
        recent_date,
        max(contact_date) as last_date,
        max(case when is_contact then contact_date end) as last_contact_date,
        count(case when is_contact then 1 end) as contacts,
        count(case when is_logged_contact then 1 end) as logged_contacts,
        count(case when is_opened then 1 end) as opened_contacts,
        count(case when is_clicked then 1 end) as clicked_contacts,
        count(case when is_since_reaction then 1 end) as contacts_since_reaction,
        count(case when is_planned then 1 end) as planned_contacts,
        count(case when is_uncounted then 1 end) as uncounted_messages
    from recent_or_old
    group by user_id, channel, recent_date

),

dated as (

    select *, coalesce(recent_date, last_contact_date, last_date) as contact_date from days

)

select
    days.user_id,
    days.channel,
    days.contact_date,
    days.contacts,
    days.logged_contacts,
    days.opened_contacts,
    days.clicked_contacts,
    days.contacts_since_reaction,
    days.planned_contacts,
    days.uncounted_messages,
    channels.intrusiveness,
    -- beyond the window of the decayed sum there is no factor
    factors.factor
from dated as days
inner join channels on days.channel = channels.channel
left join factors
    on
        {{ age('days.contact_date') }} = factors.age_days
        and factors.age_days < {{ var('pressure_decay_days') }}
