-- One row per known user while a dose test runs: the arm of the test, which says whether the caps of the plan date are as they are written.
{{ config(database='build') }}

with

latest as (

    select max(valid_from) as valid_from from {{ ref('dose_arms') }} where valid_from <= {{ plan_date() }}

),

tests as (

    select tests.salt, tests.share
    from {{ ref('dose_arms') }} as tests
    inner join latest on tests.valid_from = latest.valid_from
    where tests.share > 0

)

select users.user_id, {{ dose_arm('users.user_id', 'tests.salt', 'tests.share') }} as dose_arm
from {{ ref('int_known_users') }} as users
cross join tests
