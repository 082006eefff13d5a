-- One row per user who started about two weeks ago and comes seldom or not at all.
{{ config(meta={
    'objective': 'Bring people back two weeks after the start, before the habit is lost',
    'criteria': 'Started ' ~ var('retention_first_days') | join(' to ') ~ ' days before the plan date, and came at most once, or not in the last '
    ~ var('retention_silent_days') ~ ' days',
    'offer': 'A tour of what others use most',
    'channels': ['push', 'email', 'in_app'],
    'value': 3,
}) }}
with

starts as (

    select * from {{ ref('int_user_starts') }}

),

activity as (

    select * from {{ ref('int_user_activity') }}

)

select starts.user_id
from starts
left join activity on starts.user_id = activity.user_id
where
    {{ days_between('starts.start_date', plan_date()) }} between {{ var('retention_first_days') | join(' and ') }}
    and (
        coalesce(activity.visits, 0) <= 1
        or {{ age('activity.last_visit_date') }} >= {{ var('retention_silent_days') }}
    )
