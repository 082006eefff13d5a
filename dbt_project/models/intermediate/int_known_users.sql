-- One row per user known as of the date: somebody a row dated by then tells of.
{{ config(database='build') }}

with

mentions as (

    select user_id, created_date as mention_date from {{ ref('stg_users') }}

    union all

    select user_id, order_date as mention_date from {{ ref('stg_orders') }}

    union all

    select user_id, activity_date as mention_date from {{ ref('int_user_activity_daily') }} where own_events > 0

    union all

    select user_id, {{ business_date('linked_at') }} as mention_date from {{ ref('stg_identities') }}

    union all

    select user_id, occurred_date as mention_date from {{ ref('stg_consents') }}

    union all

    select user_id, contact_date as mention_date from {{ ref('stg_messages') }}

    union all

    select user_id, started_date as mention_date from {{ ref('stg_subscriptions') }}

)

select user_id, min(coalesce(mention_date, {{ start_of_time() }})) as first_known_date
from mentions
-- a profile or link without a date is known always
where coalesce(mention_date, {{ start_of_time() }}) <= {{ as_of() }}
group by user_id
