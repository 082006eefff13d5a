-- One row per known user: how used the user is to visiting.
with

users as (

    select * from {{ ref('int_known_users') }}

),

activity as (

    select * from {{ ref('int_user_activity') }}

)

select
    users.user_id,
    case
        when activity.user_id is null then 'never_seen'
        else {{ engagement_segment(age('activity.first_visit_date'), 'activity.visits', age('activity.last_visit_date')) }}
    end as segment
from users
left join activity on users.user_id = activity.user_id
