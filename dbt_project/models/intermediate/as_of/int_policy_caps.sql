-- One row per (policy_segment, channel or `all`) that a cap limits: what is left for who had no contact.
{{ config(database='build') }}

with

policy as (

    select * from {{ ref('contact_policy') }}

),

segments as (

    select distinct policy_segment from {{ ref('int_user_policy_segment') }}

)

select
    segments.policy_segment,
    policy.channel,
    {{ caps_left('policy.max_contacts') }},
    {{ joined_text(cap_in_words('0'), cap_order()) }} as cap_use
from segments
inner join policy on policy.policy_segment in (segments.policy_segment, '*')
group by segments.policy_segment, policy.channel
