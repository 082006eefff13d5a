-- One row per known user who is left out of all marketing on the plan date, to see what it brings.
{{ config(database='build') }}

with

salts as (

    select salt, share
    from {{ ref('universal_holdout') }}
    where valid_from <= {{ plan_date() }}
    qualify row_number() over (order by valid_from desc) = 1

)

select users.user_id
from {{ ref('int_known_users') }} as users
inner join salts on salts.share > 0
where {{ is_below("'universal'", 'salts.salt', 'users.user_id', 'salts.share') }}
