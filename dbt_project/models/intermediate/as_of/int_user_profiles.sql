-- One row per user with a profile as of the date: what people say of themselves. Personal data: never published.
select
    user_id,
    birth_date,
    installed_at,
    gender,
    country,
    region,
    city,
    timezone,
    income_band,
    education,
    interests,
    declared_values
from {{ ref('stg_users') }}
where {{ known_on(as_of()) }} and coalesce(created_date, {{ start_of_time() }}) <= {{ as_of() }}
