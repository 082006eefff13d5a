-- One row per event name that the taxonomy lacks: how often it came by the date. Its events are kept, and count for nothing.
with

taxonomy as (

    select * from {{ ref('event_taxonomy') }}

),

named as (

    select
        -- a sender may have written an address into a name
        {{ masked('event_name') }} as event_name,
        count(*) as events,
        min(activity_date) as first_date,
        max(activity_date) as last_date
    from {{ ref('stg_events') }} as events
    left join taxonomy on lower(events.event_name) = lower(taxonomy.event)
    where events.activity_date <= {{ as_of() }} and taxonomy.event is null
    group by {{ masked('event_name') }}

)

select
    named.event_name as event,
    {{ as_of() }} as as_of,
    named.events,
    named.first_date,
    named.last_date
from named
