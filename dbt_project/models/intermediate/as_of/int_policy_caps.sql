-- One row per (policy_segment, dose_arm, channel or `all`) that a cap limits: what is left for who had no contact.
{{ config(database='build') }}

with

segments as (

    select distinct policy_segment, dose_arm from {{ ref('int_user_policy_segment') }}

),

policy as (

    select
        segments.policy_segment as segment,
        segments.dose_arm,
        policy.policy_segment,
        policy.channel,
        policy.window_days,
        {{ arm_cap('policy', 'segments') }} as max_contacts
    from segments
    inner join {{ ref('contact_policy') }} as policy on policy.policy_segment in (segments.policy_segment, '*')

)

select
    policy.segment as policy_segment,
    policy.dose_arm,
    policy.channel,
    {{ caps_left('policy.max_contacts') }},
    {{ joined_text(cap_in_words('0'), cap_order()) }} as cap_use
from policy
group by policy.segment, policy.dose_arm, policy.channel
