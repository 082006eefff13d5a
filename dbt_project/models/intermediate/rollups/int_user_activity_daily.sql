-- One row per (user_id, activity_date, known_date): signed changes; the sum over known_date <= D is the day as known by D.
{{ config(
    unique_key=['user_id', 'activity_date', 'known_date'],
    meta={'touched_by': 'touched_user_activity', 'touched_keys': ['user_id', 'activity_date'],
          'built_by_month_of': ['events', 'timestamp'], 'logic_version': 3,
          'fingerprint_seeds': ['event_taxonomy'],
          'fingerprint_vars': ['business_time_zone', 'max_users_per_device', 'link_back_days', 'visit_gap_minutes']}
) }}
-- depends_on: {{ ref('touched_user_activity') }}

{%- set classes = {
    'visit': 'plain_visit_events', 'content': 'content_views', 'search': 'searches', 'category_view': 'category_views',
    'product_view': 'product_views', 'wishlist': 'wishlist_adds', 'cart_add': 'cart_adds',
    'cart_remove': 'cart_removes', 'checkout': 'checkouts', 'purchase': 'purchases', 'install': 'installs',
    'uninstall': 'uninstalls',
} %}
{%- set event_counts = ['events', 'own_events', 'unmapped_events'] + classes.values() | list + stage_counts() %}

with

events as (

    select * from {{ ref('int_events__credited') }} as source
    {{ only_touched(['user_id', 'activity_date'], ref('touched_user_activity'), part=['activity_date', 'occurred_at']) }}

),

event_changes as (

    select
        user_id,
        activity_date,
        known_date,
        count(*) as events,
        count(case when is_own then 1 end) as own_events,
        count(case when not is_mapped then 1 end) as unmapped_events,
        {%- for class, name in classes.items() %}
        count(case when event_class = '{{ class }}' then 1 end) as {{ name }},
        {%- endfor %}
        {%- for stage in awareness_stages() %}
        count(case when awareness_stage = '{{ stage }}' then 1 end) as {{ stage }}_events,
        {%- endfor %}
        max(case when event_class = 'uninstall' then occurred_at end) as last_uninstalled_at,
        cast(sum(intent_weight) as decimal(18, 3)) as intent
    from events
    group by user_id, activity_date, known_date

),

sessions as (

    select * from {{ ref('int_sessions') }} as source
    {{ only_touched(['user_id', 'activity_date'], ref('touched_user_activity'), part=['activity_date']) }}

),

day_states as (

    select
        user_id,
        activity_date,
        known_from as state_date,
        count(*) as visits,
        count(case when is_continued then 1 end) as continued_visits
    from sessions
    group by user_id, activity_date, known_from

),

visit_changes as (

    select
        user_id,
        activity_date,
        state_date as known_date,
        visits - coalesce(lag(visits) over (partition by user_id, activity_date order by state_date), 0) as visits,
        continued_visits
        - coalesce(lag(continued_visits) over (partition by user_id, activity_date order by state_date), 0)
            as continued_visits
    from day_states

)

select
    coalesce(events.user_id, visits.user_id) as user_id,
    coalesce(events.activity_date, visits.activity_date) as activity_date,
    coalesce(events.known_date, visits.known_date) as known_date,
    cast(coalesce(visits.visits, 0) as bigint) as visits,
    cast(coalesce(visits.continued_visits, 0) as bigint) as continued_visits,
    {%- for name in event_counts %}
    coalesce(events.{{ name }}, 0) as {{ name }},
    {%- endfor %}
    events.last_uninstalled_at,
    coalesce(events.intent, 0) as intent
from event_changes as events
full outer join visit_changes as visits
    on
        events.user_id = visits.user_id
        and events.activity_date = visits.activity_date
        and events.known_date = visits.known_date
-- a day without an event of its own, on which nothing changed, is no change
where events.user_id is not null or visits.visits <> 0 or visits.continued_visits <> 0
