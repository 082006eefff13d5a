-- One row per (policy_segment, channel, window_days): the caps that this build was made under.
select
    policy_segment,
    channel,
    window_days,
    max_contacts
from {{ ref('contact_policy') }}
