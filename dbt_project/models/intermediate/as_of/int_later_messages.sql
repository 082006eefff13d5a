-- One row per message sent by the date with an event of a later date: next to none where the date is the last one.
{{ config(database='build') }}

select message_id
from {{ ref('int_message_outcomes') }}
where contact_date <= {{ as_of() }} and last_event_date > {{ as_of() }}
