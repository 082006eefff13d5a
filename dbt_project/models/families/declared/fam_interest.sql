-- One row per known user: the declared interest that comes first in the order of the seed, and all of them beside it.
with

users as (

    select * from {{ ref('int_known_users') }}

),

{{ declared_list_ctes('interest', 'interests') }}

select
    users.user_id,
    coalesce(declared_lists.first_declared, 'unknown') as segment,
    declared_lists.declared,
    declared_lists.published
from users
left join declared_lists on users.user_id = declared_lists.user_id
