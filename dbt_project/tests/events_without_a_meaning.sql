-- Returns event names that the taxonomy lacks: their events count for nothing. Add rows to the seed event_taxonomy.
{{ config(severity='warn') }}
select event, events from {{ ref('unmapped_events') }}
