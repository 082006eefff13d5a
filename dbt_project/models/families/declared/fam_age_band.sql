-- One row per known user: the band of the age in whole years, on the date.
with

users as (

    select * from {{ ref('int_known_users') }}

),

ages as (

    select user_id, {{ whole_years('birth_date', as_of()) }} as years
    from {{ ref('int_user_profiles') }}
    where birth_date is not null

),

bands as (

    select * from {{ ref('age_bands') }}

)

select
    users.user_id,
    coalesce(bands.age_band, 'unknown') as segment
from users
left join ages on users.user_id = ages.user_id and ages.years between 0 and {{ var('declared_max_age') }}
left join bands on ages.years >= bands.from_age and (bands.to_age is null or ages.years <= bands.to_age)
