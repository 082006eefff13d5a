-- One row per known user: what the user left behind on the date.
with

users as (

    select * from {{ ref('int_known_users') }}

),

left_behind as (

    select * from {{ ref('int_user_abandonment') }}

)

select
    users.user_id,
    coalesce(left_behind.step, 'none') as segment,
    left_behind.product_id,
    left_behind.category
from users
left join left_behind on users.user_id = left_behind.user_id
