-- One row per (user_id, known_from): a version of a user, good as of the dates from known_from until known_until.
{{ config(unique_key=['user_id'], meta={'touched_by': 'touched_users', 'touched_keys': ['user_id'], 'logic_version': 1}) }}
-- depends_on: {{ ref('touched_users') }}

with

source as (

    select * from {{ source('raw', 'users') }} as source
    {{ only_touched(['user_id'], ref('touched_users')) }}

),

renamed as (

    select
        user_id,
        email,
        phone,
        first_name,
        last_name,
        birth_date,
        gender,
        upper(country) as country,
        region,
        city,
        timezone,
        language,
        income_band,
        education,
        occupation,
        household_size,
        interests,
        {{ adapter.quote('values') }} as declared_values,
        created_at,
        {{ business_date('created_at') }} as created_date,
        installed_at,
        coalesce(updated_at, created_at) as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['user_id']) }}

select
    user_id,
    email,
    phone,
    first_name,
    last_name,
    birth_date,
    gender,
    country,
    region,
    city,
    timezone,
    language,
    income_band,
    education,
    occupation,
    household_size,
    interests,
    declared_values,
    created_at,
    created_date,
    installed_at,
    known_from,
    known_until,
    has_equal_times
from versions
