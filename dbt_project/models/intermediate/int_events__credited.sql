-- One row per event that belongs to a user: its own user_id, else the owner of its anonymous_id.
{{ config(materialized='view') }}

with

events as (

    select * from {{ ref('stg_events') }}

),

owners as (

    select * from {{ ref('int_identity_links') }} where link_number = 1

),

taxonomy as (

    select * from {{ ref('event_taxonomy') }}

),

credited as (

    select
        events.event_id,
        coalesce(events.user_id, owners.user_id) as user_id,
        events.user_id is not null as is_own,
        events.activity_date,
        -- a link of a later date gives the user the event only from then on
        case
            when events.user_id is not null then events.activity_date
            else greatest(events.activity_date, owners.linked_date)
        end as known_date,
        events.occurred_at,
        events.session_id,
        events.event_name,
        events.product_id,
        events.category
    from events
    left join owners
        on
            events.user_id is null
            and events.anonymous_id = owners.anonymous_id
            and (owners.shared_from is null or events.occurred_at < owners.shared_from)
            {%- if var('link_back_days') is not none %}
            and events.occurred_at >= owners.linked_at - interval '{{ var("link_back_days") }}' day
            {%- endif %}

)

select
    credited.*,
    taxonomy.class as event_class,
    coalesce(taxonomy.is_visit, false) as is_visit,
    coalesce(taxonomy.intent_weight, 0) as intent_weight,
    coalesce(taxonomy.interest_weight, 0) as interest_weight,
    taxonomy.awareness_stage,
    taxonomy.event is not null as is_mapped
from credited
left join taxonomy on lower(credited.event_name) = lower(taxonomy.event)
where credited.user_id is not null
