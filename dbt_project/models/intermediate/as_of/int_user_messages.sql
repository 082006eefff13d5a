-- One row per user with a message by the date: how many, the latest reaction, open and click, and the contacts of the last days.
{{ config(database='build') }}

select
    user_id,
    count(*) as messages,
    count(case when is_contact and {{ in_last('contact_date', var('message_passive_days')) }} then 1 end) as contacts_lately,
    max(last_reaction_at) as last_reaction_at,
    {{ business_date('max(last_reaction_at)') }} as last_reaction_date,
    {{ business_date('max(last_opened_at)') }} as last_open_date,
    {{ business_date('max(last_clicked_at)') }} as last_click_date
from {{ ref('fct_contacts') }}
group by user_id
