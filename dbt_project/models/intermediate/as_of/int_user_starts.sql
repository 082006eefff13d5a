-- One row per user with a known start: the day of the installation, else of the first install event, else of the first visit.
{{ config(database='build') }}

with

profiles as (

    select user_id, {{ business_date('installed_at') }} as installed_date
    from {{ ref('int_user_profiles') }}
    where installed_at is not null

),

install_days as (

    select user_id, activity_date
    from {{ ref('int_user_activity_daily') }}
    where known_date <= {{ as_of() }} and installs <> 0
    group by user_id, activity_date
    having sum(installs) > 0

),

installs as (

    select user_id, min(activity_date) as first_install_date from install_days group by user_id

),

visits as (

    select user_id, first_visit_date from {{ ref('int_user_activity') }}

)

select
    users.user_id,
    coalesce(profiles.installed_date, installs.first_install_date, visits.first_visit_date) as start_date
from {{ ref('int_known_users') }} as users
left join profiles on users.user_id = profiles.user_id
left join installs on users.user_id = installs.user_id
left join visits on users.user_id = visits.user_id
where coalesce(profiles.installed_date, installs.first_install_date, visits.first_visit_date) is not null
