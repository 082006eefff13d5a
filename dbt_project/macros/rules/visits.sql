{% macro visit_ctes() -%}
{#-
    CTEs from `states` (user_id, activity_date, state_date, occurred_at, session_id: the visiting events of a day as it is
    known from a date on) to `visits`, a row a visit, and `continued`, a row a day and state: whether its first visit goes
    on with the last of the day before. A state of a day needs the day before in a state of the same date, or an earlier
    one that still holds.
-#}
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
        cast(0 as bigint) as run_number, min(occurred_at) as started_at, max(occurred_at) as ended_at, count(*) as events
    from states
    where session_id is not null
    group by user_id, activity_date, state_date, session_id

    union all

    select
        user_id, activity_date, state_date, cast(null as string) as session_id,
        cast(run_number as bigint) as run_number, min(occurred_at) as started_at, max(occurred_at) as ended_at, count(*) as events
    from runs
    group by user_id, activity_date, state_date, run_number

),

days as (

    -- the first visit of equal ones: one with a session_id, then the smaller; the last of equal ones: the greater session_id
    select
        user_id,
        activity_date,
        state_date,
        min(started_at) as started_at,
        max(ended_at) as ended_at,
        min_by(
            coalesce(session_id, ''),
            {{ ordering(['started_at', 'case when session_id is null then 1 else 0 end', "coalesce(session_id, '')"]) }}
        ) as first_session_id,
        max_by(coalesce(session_id, ''), {{ ordering(['ended_at', "coalesce(session_id, '')"]) }}) as last_session_id
    from visits
    group by user_id, activity_date, state_date

),

day_states as (

    select
        *,
        coalesce(
            lead(state_date) over (partition by user_id, activity_date order by state_date), {{ end_of_time() }}
        ) as state_until
    from days

),

continued as (

    select
        days.user_id,
        days.activity_date,
        days.state_date,
        days.state_until,
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
