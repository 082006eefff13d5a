-- One row per user known as of the date: somebody a row dated by then tells of.
{{ config(database='build') }}

with

-- every row that was loaded tells of its user, also one that another version of equal time has beaten
mentions as (

    select user_id, {{ business_date('created_at') }} as mention_date from {{ source('raw', 'users') }}

    union all

    select user_id, {{ business_date('ordered_at') }} as mention_date from {{ source('raw', 'orders') }}

    union all

    select user_id, activity_date as mention_date from {{ ref('int_user_activity_daily') }} where own_events > 0

    union all

    select user_id, {{ business_date('linked_at') }} as mention_date from {{ ref('stg_identities') }}

    union all

    select user_id, occurred_date as mention_date from {{ ref('stg_consents') }}

    union all

    select user_id, contact_date as mention_date from {{ ref('stg_messages') }}

    union all

    select user_id, {{ business_date('started_at') }} as mention_date from {{ source('raw', 'subscriptions') }}

)

select user_id, min(coalesce(mention_date, {{ start_of_time() }})) as first_known_date
from mentions
-- a profile or link without a date is known always
where coalesce(mention_date, {{ start_of_time() }}) <= {{ as_of() }}
group by user_id
