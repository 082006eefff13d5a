-- One row per known user: the income band that the user declares.
with

users as (

    select * from {{ ref('int_known_users') }}

),

profiles as (

    select * from {{ ref('int_user_profiles') }}

)

select
    users.user_id,
    coalesce(profiles.income_band, 'unknown') as segment
from users
left join profiles on users.user_id = profiles.user_id
