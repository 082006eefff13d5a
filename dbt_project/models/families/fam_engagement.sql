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
        when {{ age('activity.first_visit_date') }} <= {{ var('engagement_new_days') }} then 'new'
        when activity.visits = 1 then 'one_time'
        when {{ age('activity.last_visit_date') }} > {{ var('engagement_dormant_days') }} then 'dormant'
        else 'engaged'
    end as segment
from users
left join activity on users.user_id = activity.user_id
