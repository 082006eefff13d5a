-- One row per (user_id, contact_date) of the measured days with a message that may be a contact: the policy segment as of the day before, by what was known then.
{{ config(database='build') }}

select user_id, contact_date, policy_segment
from {{ ref('int_segments_before_contacts') }}
where {{ in_last('contact_date', var('measures_days')) }}
