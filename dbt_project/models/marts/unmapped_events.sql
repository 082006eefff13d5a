-- One row per event name that the taxonomy lacks: how often it came by the date. Its events are kept, and count for nothing.
with

taxonomy as (

    select * from {{ ref('event_taxonomy') }}

),

named as (

    select
        event_name,
        count(*) as events,
        min(activity_date) as first_date,
        max(activity_date) as last_date
    from {{ ref('stg_events') }}
    where activity_date <= {{ as_of() }}
    group by event_name

),

unmapped as (

    -- a sender may have written an address into a name
    select {{ masked('named.event_name') }} as event, named.events, named.first_date, named.last_date
    from named
    left join taxonomy on lower(named.event_name) = lower(taxonomy.event)
    where taxonomy.event is null

)

select
    event,
    {{ as_of() }} as as_of,
    cast(sum(events) as bigint) as events,
    min(first_date) as first_date,
    max(last_date) as last_date
from unmapped
group by event
