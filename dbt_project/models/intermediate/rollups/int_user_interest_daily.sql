-- One row per (user_id, activity_date, known_date, category, product_id): views and cart adds. What has no category of its own has its product's, which dates decide.
{{ config(
    unique_key=['user_id', 'activity_date', 'known_date', 'category', 'product_id'],
    meta={'touched_by': 'touched_user_activity', 'touched_keys': ['user_id', 'activity_date'],
          'built_by_month_of': ['events', 'timestamp'], 'logic_version': 1,
          'fingerprint_seeds': ['event_taxonomy'],
          'fingerprint_vars': ['business_time_zone', 'max_users_per_device', 'link_back_days']}
) }}
-- depends_on: {{ ref('touched_user_activity') }}

with

signals as (

    select
        user_id,
        activity_date,
        known_date,
        -- empty: none; a category of its own leaves the product aside
        coalesce(category, '') as category,
        case when category is null then coalesce(product_id, '') else '' end as product_id,
        interest_weight,
        occurred_at
    from {{ ref('int_events__credited') }} as source
    {{ only_touched(['user_id', 'activity_date'], ref('touched_user_activity'), part=['activity_date', 'occurred_at']) }}

)

select
    user_id,
    activity_date,
    known_date,
    category,
    product_id,
    count(*) as signals,
    cast(sum(interest_weight) as decimal(18, 3)) as interest,
    max(occurred_at) as last_signal_at
from signals
where interest_weight > 0 and (category <> '' or product_id <> '')
group by user_id, activity_date, known_date, category, product_id
