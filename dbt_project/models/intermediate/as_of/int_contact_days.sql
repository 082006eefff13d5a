-- One row per (user_id, channel, contact_date) with a message by the date: contacts, and how many were opened or clicked.
{{ config(database='build') }}

with

contacts as (

    select * from {{ ref('fct_contacts') }}

),

channels as (

    select * from {{ ref('channels') }}

),

factors as (

    select * from {{ ref('decay_factors') }}

),

last_reactions as (

    select user_id, max(last_reaction_at) as last_reaction_at
    from contacts
    where last_reaction_at is not null
    group by user_id

),

days as (

    select
        contacts.user_id,
        contacts.channel,
        contacts.contact_date,
        count(case when contacts.is_contact then 1 end) as contacts,
        count(case when contacts.is_contact and contacts.is_opened then 1 end) as opened_contacts,
        count(case when contacts.is_contact and contacts.is_clicked then 1 end) as clicked_contacts,
        count(case when contacts.is_contact
            and (last_reactions.last_reaction_at is null or contacts.sent_at > last_reactions.last_reaction_at) then 1 end) as contacts_since_reaction,
        count(case when contacts.message_class <> 'marketing' then 1 end) as uncounted_messages
    from contacts
    left join last_reactions on contacts.user_id = last_reactions.user_id
    group by contacts.user_id, contacts.channel, contacts.contact_date

)

select
    days.*,
    channels.intrusiveness,
    -- beyond the window of the decayed sum there is no factor
    factors.factor
from days
inner join channels on days.channel = channels.channel
left join factors
    on
        {{ age('days.contact_date') }} = factors.age_days
        and factors.age_days < {{ var('pressure_decay_days') }}
