{% macro credited_events(condition=none) -%}
{#-
    Events with the user that they belong to: their own user_id, else the owner of the anonymous_id; in the words of the
    taxonomy. The condition, over columns of stg_events, stands beside the scan, so that it spares what it leaves out.
-#}
with

events as (

    select * from {{ ref('stg_events') }}
    {%- if condition %}
    where {{ condition }}
    {%- endif %}

),

owners as (

    select * from {{ ref('int_identity_links') }} where link_number = 1

),

taxonomy as (

    select * from {{ ref('event_taxonomy') }}

),

-- the condition stands in the key, and the others after the join: one on a side alone would make it a nested loop
linked as (

    select
        events.*,
        case
            when
                (owners.shared_from is null or events.occurred_at < owners.shared_from)
                {%- if var('link_back_days') is not none %}
                and events.occurred_at >= owners.linked_at - interval '{{ var("link_back_days") }}' day
                {%- endif %}
                then owners.user_id
        end as owner_id,
        owners.linked_date
    from events
    left join owners
        on case when events.user_id is null then events.anonymous_id end = owners.anonymous_id

),

credited as (

    select
        event_id,
        coalesce(user_id, owner_id) as user_id,
        user_id is not null as is_own,
        activity_date,
        -- a link of a later date gives the user the event only from then on
        case when user_id is not null then activity_date else greatest(activity_date, linked_date) end as known_date,
        occurred_at,
        session_id,
        event_name,
        product_id,
        category
    from linked
    where user_id is not null or owner_id is not null

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
{%- endmacro %}


{% macro received_events() -%}
    {#- Events as they came, with the date on which each was received, as far as that is known. -#}
    select
        user_id,
        anonymous_id,
        activity_date,
        occurred_at,
        session_id,
        event_name,
        received_at,
        coalesce(
            {{ business_date('received_at') }}, {{ add_days('activity_date', var('assumed_delay_days')) }}
        ) as received_date
    from {{ ref('stg_events') }}
{%- endmacro %}
