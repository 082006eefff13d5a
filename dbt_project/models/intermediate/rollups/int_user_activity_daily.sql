-- One row per (user_id, activity_date, known_date): signed changes; the sum over known_date <= D is the day as known by D.
{{ config(
    unique_key=['user_id', 'activity_date', 'known_date'],
    meta={'touched_by': 'touched_user_activity', 'touched_keys': ['user_id', 'activity_date'], 'logic_version': 1,
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
{%- set measures = ['visits', 'continued_visits', 'events', 'own_events', 'unmapped_events'] + classes.values() | list %}

with

{%- if is_incremental() %}

touched as (

    select user_id, activity_date from {{ ref('touched_user_activity') }}

),

-- the day before shows whether a date's first visit continues its last
days_needed as (

    select user_id, activity_date from touched

    union

    select user_id, {{ add_days('activity_date', -1) }} as activity_date from touched

),
{%- endif %}

events as (

    select source.*
    from {{ ref('int_events__credited') }} as source
    {%- if is_incremental() %}
    inner join days_needed
        on source.user_id = days_needed.user_id and source.activity_date = days_needed.activity_date
    {%- endif %}

),

counts as (

    select
        user_id,
        activity_date,
        known_date,
        count(*) as events,
        count(case when is_own then 1 end) as own_events,
        count(case when not is_mapped then 1 end) as unmapped_events
        {%- for class, name in classes.items() %},
        count(case when event_class = '{{ class }}' then 1 end) as {{ name }}
        {%- endfor %}
    from events
    group by user_id, activity_date, known_date

),

visiting as (

    select user_id, activity_date, known_date, occurred_at, session_id
    from events
    where is_visit

),

-- dates on which a later link changed what is known of a day, or of the day before it
later_states as (

    select distinct user_id, activity_date, known_date as state_date
    from visiting
    where known_date > activity_date

    union

    select distinct user_id, {{ add_days('activity_date', 1) }} as activity_date, known_date as state_date
    from visiting
    where known_date > {{ add_days('activity_date', 1) }}

),

-- what was known of a day on its own date, and again on each later date that changed it
states as (

    select user_id, activity_date, activity_date as state_date, occurred_at, session_id
    from visiting
    where known_date = activity_date

    union all

    select visiting.user_id, visiting.activity_date, later_states.state_date, visiting.occurred_at, visiting.session_id
    from later_states
    inner join visiting
        on
            later_states.user_id = visiting.user_id
            and later_states.activity_date = visiting.activity_date
            and visiting.known_date <= later_states.state_date

),

gaps as (

    select
        user_id,
        activity_date,
        state_date,
        occurred_at,
        lag(occurred_at) over (partition by user_id, activity_date, state_date order by occurred_at) as previous_at
    from states
    where session_id is null

),

visit_parts as (

    select
        user_id, activity_date, state_date, session_id,
        1 as visits, min(occurred_at) as first_at, max(occurred_at) as last_at
    from states
    where session_id is not null
    group by user_id, activity_date, state_date, session_id

    union all

    select
        user_id, activity_date, state_date, cast(null as string) as session_id,
        count(case when previous_at is null or occurred_at > previous_at + interval '{{ var("visit_gap_minutes") }}' minute then 1 end) as visits,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from gaps
    group by user_id, activity_date, state_date

),

days as (

    -- the first visit of equal ones: one with a session_id, then the smaller; the last of equal ones: the greater session_id
    select
        user_id,
        activity_date,
        state_date,
        sum(visits) as visits,
        min(first_at) as first_at,
        max(last_at) as last_at,
        min_by(
            coalesce(session_id, ''),
            {{ ordering(['first_at', 'case when session_id is null then 1 else 0 end', "coalesce(session_id, '')"]) }}
        ) as first_session_id,
        max_by(coalesce(session_id, ''), {{ ordering(['last_at', "coalesce(session_id, '')"]) }}) as last_session_id
    from visit_parts
    group by user_id, activity_date, state_date

),

day_ends as (

    select
        user_id,
        activity_date,
        state_date,
        coalesce(
            lead(state_date) over (partition by user_id, activity_date order by state_date), {{ end_of_time() }}
        ) as state_until,
        last_at,
        last_session_id
    from days

),

day_states as (

    select
        days.user_id,
        days.activity_date,
        days.state_date,
        days.visits,
        case
            when days.first_at <= day_ends.last_at + interval '{{ var("visit_gap_minutes") }}' minute then 1
            when days.first_session_id <> '' and days.first_session_id = day_ends.last_session_id then 1
            else 0
        end as continued_visits
    from days
    left join day_ends
        on
            days.user_id = day_ends.user_id
            and days.activity_date = {{ add_days('day_ends.activity_date', 1) }}
            and day_ends.state_date <= days.state_date
            and days.state_date < day_ends.state_until

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

),

changes as (

    select
        user_id, activity_date, known_date,
        0 as visits, 0 as continued_visits,
        events, own_events, unmapped_events
        {%- for name in classes.values() %}, {{ name }}{% endfor %}
    from counts

    union all

    select
        user_id, activity_date, known_date,
        visits, continued_visits,
        0 as events, 0 as own_events, 0 as unmapped_events
        {%- for name in classes.values() %}, 0 as {{ name }}{% endfor %}
    from visit_changes

)

select
    changes.user_id,
    changes.activity_date,
    changes.known_date
    {%- for name in measures %},
    cast(sum(changes.{{ name }}) as bigint) as {{ name }}
    {%- endfor %}
from changes
{%- if is_incremental() %}
inner join touched on changes.user_id = touched.user_id and changes.activity_date = touched.activity_date
{%- endif %}
group by changes.user_id, changes.activity_date, changes.known_date
having {% for name in measures %}{{ 'or ' if not loop.first }}sum(changes.{{ name }}) <> 0 {% endfor %}
