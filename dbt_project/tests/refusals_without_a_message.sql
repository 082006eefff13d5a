-- Returns unsubscribes and complaints whose message is not loaded: nobody can tell yet whom they protect. Deliver the messages.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'stg_message_events'}}}) }}
select events.event, count(*) as events
from {{ ref('stg_message_events') }} as events
left join {{ ref('stg_messages') }} as messages on events.message_id = messages.message_id
where messages.message_id is null and events.event in ('unsubscribed', 'complained')
group by events.event
