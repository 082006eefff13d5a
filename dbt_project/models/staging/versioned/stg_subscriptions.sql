-- One row per (subscription_id, known_from): a version of a subscription, good as of the dates from known_from until known_until.
{{ config(unique_key=['subscription_id'], meta={'touched_by': 'touched_subscriptions', 'touched_keys': ['subscription_id'], 'logic_version': 2}) }}
-- depends_on: {{ ref('touched_subscriptions') }}

with

source as (

    select * from {{ source('raw', 'subscriptions') }} as source
    {{ only_touched(['subscription_id'], ref('touched_subscriptions')) }}

),

renamed as (

    select
        subscription_id,
        user_id,
        plan,
        started_at,
        {{ business_date('started_at') }} as started_date,
        renews_at,
        {{ business_date('renews_at') }} as renews_date,
        auto_renew,
        cancel_requested_at,
        {{ business_date('cancel_requested_at') }} as cancel_requested_date,
        ended_at,
        {{ business_date('ended_at') }} as ended_date,
        coalesce(updated_at, started_at) as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['subscription_id']) }}

select
    subscription_id,
    user_id,
    plan,
    started_at,
    started_date,
    renews_at,
    renews_date,
    auto_renew,
    cancel_requested_at,
    cancel_requested_date,
    ended_at,
    ended_date,
    known_from,
    known_until,
    has_equal_times
from versions
