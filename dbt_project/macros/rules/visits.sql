{% macro visit_ctes() -%}
{#-
    CTEs from `states` (user_id, activity_date, state_date, occurred_at, session_id: the visiting events of a day as it is
    known from a date on) to `visits`, a row a visit, and `continued`, a row a day and state: its visits, and whether the
    first goes on with the last of the day before; `busy_visits` are those of days with more than one. A state of a day needs the day before in a state of the same date, or an earlier
    one that still holds.
-#}
sessions as (

    select
        user_id, activity_date, state_date, session_id,
        min(occurred_at) as started_at, max(occurred_at) as ended_at, count(*) as events
    from states
    where session_id is not null
    group by user_id, activity_date, state_date, session_id

),

-- events without a session_id: where those of a day lie within one gap they are one visit, as on most days
loose_days as (

    select
        user_id, activity_date, state_date,
        min(occurred_at) as started_at, max(occurred_at) as ended_at, count(*) as events
    from states
    where session_id is null
    group by user_id, activity_date, state_date

),

gaps as (

    select
        states.user_id,
        states.activity_date,
        states.state_date,
        states.occurred_at,
        lag(states.occurred_at) over (
            partition by states.user_id, states.activity_date, states.state_date order by states.occurred_at
        ) as previous_at
    from states
    inner join loose_days
        on
            states.user_id = loose_days.user_id
            and states.activity_date = loose_days.activity_date
            and states.state_date = loose_days.state_date
    where
        states.session_id is null
        and loose_days.ended_at > loose_days.started_at + interval '{{ var("visit_gap_minutes") }}' minute

),

runs as (

    select
        *,
        sum(case when previous_at is null or occurred_at > previous_at + interval '{{ var("visit_gap_minutes") }}' minute then 1 else 0 end)
            over (partition by user_id, activity_date, state_date order by occurred_at) as run_number
    from gaps

),

visits as (

    select
        user_id, activity_date, state_date, session_id,
        cast(0 as bigint) as run_number, started_at, ended_at, events
    from sessions

    union all

    select
        user_id, activity_date, state_date, cast(null as string) as session_id,
        cast(1 as bigint) as run_number, started_at, ended_at, events
    from loose_days
    where ended_at <= started_at + interval '{{ var("visit_gap_minutes") }}' minute

    union all

    select
        user_id, activity_date, state_date, cast(null as string) as session_id,
        cast(run_number as bigint) as run_number, min(occurred_at) as started_at, max(occurred_at) as ended_at, count(*) as events
    from runs
    group by user_id, activity_date, state_date, run_number

),

days as (

    select
        user_id,
        activity_date,
        state_date,
        count(*) as visits,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min(coalesce(session_id, '')) as session_id
    from visits
    group by user_id, activity_date, state_date

),

-- the visits of days with more than one: few
busy_visits as (

    select visits.*
    from visits
    inner join days
        on
            visits.user_id = days.user_id
            and visits.activity_date = days.activity_date
            and visits.state_date = days.state_date
    where days.visits > 1

),

busy_days as (

    -- the first visit of equal ones: one with a session_id, then the smaller; the last of equal ones: the greater session_id
    select
        user_id,
        activity_date,
        state_date,
        min_by(
            coalesce(session_id, ''),
            {{ ordering(['started_at', 'case when session_id is null then 1 else 0 end', "coalesce(session_id, '')"]) }}
        ) as first_session_id,
        max_by(coalesce(session_id, ''), {{ ordering(['ended_at', "coalesce(session_id, '')"]) }}) as last_session_id
    from busy_visits
    group by user_id, activity_date, state_date

),

-- days of which something else became known later: few
restated_days as (

    select
        days.user_id,
        days.activity_date,
        days.state_date,
        lead(days.state_date) over (partition by days.user_id, days.activity_date order by days.state_date) as state_until
    from days
    inner join (select distinct user_id, activity_date from days where state_date > activity_date) as restated
        on days.user_id = restated.user_id and days.activity_date = restated.activity_date

),

day_states as (

    select
        days.user_id,
        days.activity_date,
        days.state_date,
        days.visits,
        days.started_at,
        days.ended_at,
        coalesce(busy_days.first_session_id, days.session_id) as first_session_id,
        coalesce(busy_days.last_session_id, days.session_id) as last_session_id,
        coalesce(restated_days.state_until, {{ end_of_time() }}) as state_until
    from days
    left join busy_days
        on
            days.user_id = busy_days.user_id
            and days.activity_date = busy_days.activity_date
            and days.state_date = busy_days.state_date
    left join restated_days
        on
            days.user_id = restated_days.user_id
            and days.activity_date = restated_days.activity_date
            and days.state_date = restated_days.state_date

),

continued as (

    select
        days.user_id,
        days.activity_date,
        days.state_date,
        days.state_until,
        days.visits,
        coalesce(
            days.started_at <= day_before.ended_at + interval '{{ var("visit_gap_minutes") }}' minute
            or (days.first_session_id <> '' and days.first_session_id = day_before.last_session_id), false
        ) as is_continued
    from day_states as days
    left join day_states as day_before
        on
            days.user_id = day_before.user_id
            and days.activity_date = {{ add_days('day_before.activity_date', 1) }}
            and day_before.state_date <= days.state_date
            and days.state_date < day_before.state_until

)
{%- endmacro %}


{% macro engagement_segment(first_visit_age, visits, last_visit_age) -%}
    {#- The segment of the family engagement of somebody with a visit; ages in days. -#}
    case
        when {{ first_visit_age }} <= {{ var('engagement_new_days') }} then 'new'
        when {{ visits }} = 1 then 'one_time'
        when {{ last_visit_age }} > {{ var('engagement_dormant_days') }} then 'dormant'
        else 'engaged'
    end
{%- endmacro %}


{% macro measured_spans() -%}
    {#- The spans of engagement that reach into the measured days, or are of the day before them: a third less to join. -#}
    select user_id, segment, valid_from, valid_to
    from {{ ref('int_engagement_spans') }}
    where valid_to > {{ add_days(as_of(), -var('measures_days')) }}
{%- endmacro %}


{% macro join_engagement_before(contacts) -%}
    {#- As `spans`: the engagement segment as of the day before a contact of the measured days; none before the first span. -#}
    left join ({{ measured_spans() }}) as spans
        on
            {{ contacts }}.user_id = spans.user_id
            and {{ add_days(contacts ~ '.contact_date', -1) }} >= spans.valid_from
            and {{ add_days(contacts ~ '.contact_date', -1) }} < spans.valid_to
{%- endmacro %}


{% macro with_restated(activity, is_restated, restated_days=none) -%}
    {#- The rows of the few days that have several, or of all others, which need no sum over known_date. -#}
    from {{ activity }} as changes
    {{ 'inner' if is_restated else 'left' }} join {{ restated_days or ref('int_restated_days') }} as restated
        on changes.user_id = restated.user_id and changes.activity_date = restated.activity_date
    {%- if not is_restated %}
    where restated.user_id is null
    {%- endif %}
{%- endmacro %}
