-- One row per user with a visit as of the date: first and last visit, and how many visits there were.
{{ config(database='build') }}

with

days as (

    select
        user_id,
        activity_date,
        sum(visits) as visits,
        sum(visits) - sum(continued_visits) as visits_begun
    from {{ ref('int_user_activity_daily') }}
    where known_date <= {{ as_of() }}
    group by user_id, activity_date
    having sum(visits) > 0

)

select
    user_id,
    min(activity_date) as first_visit_date,
    max(activity_date) as last_visit_date,
    cast(sum(visits_begun) as bigint) as visits,
    count(*) as visit_days,
    count(case when {{ age('activity_date') }} < {{ var('pressure_month_days') }} then 1 end) as visit_days_30d
from days
group by user_id
