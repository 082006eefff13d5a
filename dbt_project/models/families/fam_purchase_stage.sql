-- One row per known user: the highest step of the ladder of awareness that the user was seen on lately.
with

users as (

    select * from {{ ref('int_known_users') }}

),

awareness as (

    select * from {{ ref('int_user_awareness') }}

)

select
    users.user_id,
    coalesce(awareness.awareness_stage, 'unaware') as segment
from users
left join awareness on users.user_id = awareness.user_id
