-- One row per (user_id, activity_date, known_from, session_number): a visit, as it is known from a date until a later link changes the day.
{{ config(
    unique_key=['user_id', 'activity_date', 'known_from', 'session_number'],
    meta={'touched_by': 'touched_user_activity', 'touched_keys': ['user_id', 'activity_date'],
          'built_by_month_of': ['events', 'timestamp'], 'logic_version': 1,
          'fingerprint_seeds': ['event_taxonomy'],
          'fingerprint_vars': ['business_time_zone', 'max_users_per_device', 'link_back_days', 'visit_gap_minutes']}
) }}
-- depends_on: {{ ref('touched_user_activity') }}

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

visiting as (

    select source.user_id, source.activity_date, source.known_date, source.occurred_at, source.session_id
    from {{ ref('int_events__credited') }} as source
    {%- if is_incremental() %}
    inner join days_needed
        on source.user_id = days_needed.user_id and source.activity_date = days_needed.activity_date
    {%- endif %}
    where
        source.is_visit
        {%- if not is_incremental() %}
        and {{ in_part('source', 'activity_date', 'occurred_at', days_before=1) }}
        {%- endif %}

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

{{ visit_ctes() }},

numbered as (

    select
        *,
        row_number() over (
            partition by user_id, activity_date, state_date
            order by started_at, case when session_id is null then 1 else 0 end, session_id, run_number
        ) as session_number
    from busy_visits

),

with_numbers as (

    select
        visits.*,
        continued.state_until,
        continued.is_continued,
        case when continued.visits = 1 then 1 else numbered.session_number end as session_number
    from visits
    inner join continued
        on
            visits.user_id = continued.user_id
            and visits.activity_date = continued.activity_date
            and visits.state_date = continued.state_date
    left join numbered
        on
            visits.user_id = numbered.user_id
            and visits.activity_date = numbered.activity_date
            and visits.state_date = numbered.state_date
            and visits.run_number = numbered.run_number
            and coalesce(visits.session_id, '') = coalesce(numbered.session_id, '')

)

select
    with_numbers.user_id,
    with_numbers.activity_date,
    with_numbers.state_date as known_from,
    with_numbers.state_until as known_until,
    cast(with_numbers.session_number as integer) as session_number,
    with_numbers.session_id,
    with_numbers.started_at,
    with_numbers.ended_at,
    cast(with_numbers.events as bigint) as events,
    -- the evening before goes on: not another visit of the engagement family
    with_numbers.session_number = 1 and with_numbers.is_continued as is_continued
from with_numbers
{%- if is_incremental() %}
inner join touched on with_numbers.user_id = touched.user_id and with_numbers.activity_date = touched.activity_date
{%- else %}
where with_numbers.activity_date >= {{ part_from() }}
{%- endif %}
