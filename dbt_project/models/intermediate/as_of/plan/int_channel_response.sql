-- One row per (user_id, channel) with a contact lately that was really sent: how it was answered, which orders the channels of a candidate.
{{ config(database='build') }}
{%- set days = var('response_days') | max %}

select
    user_id,
    channel,
    cast(sum(logged_contacts) as bigint) as contacts,
    cast(sum(opened_contacts) as bigint) as opened_contacts,
    cast(sum(clicked_contacts) as bigint) as clicked_contacts
from {{ ref('int_contact_days') }}
where {{ in_last('contact_date', days) }} and logged_contacts > 0
group by user_id, channel
