-- One row per (user_id, category) with a sign of interest lately: its weight and share, ranked, as of the date.
{{ config(database='build') }}

with

products as (

    select product_id, category from {{ ref('stg_products') }} where {{ known_on(as_of()) }}

),

signals as (

    select user_id, category, product_id, signals, interest, last_signal_at
    from {{ ref('int_user_interest_daily') }}
    where known_date <= {{ as_of() }} and {{ in_last('activity_date', var('affinity_days')) }}

    union all

    -- a line of an order
    select
        orders.user_id,
        coalesce(lines.category, '') as category,
        case when lines.category is null then lines.product_id else '' end as product_id,
        1 as signals,
        {{ var('affinity_line_weight') }} as interest,
        orders.ordered_at as last_signal_at
    from {{ ref('int_recent_orders') }} as orders
    inner join {{ ref('stg_order_items') }} as lines on orders.order_id = lines.order_id
    where {{ in_last('orders.order_date', var('affinity_days')) }}

),

categorised as (

    select
        signals.user_id,
        case when signals.category <> '' then signals.category else products.category end as category,
        signals.signals,
        signals.interest,
        signals.last_signal_at
    from signals
    left join products on signals.product_id = products.product_id

),

weighed as (

    select
        user_id,
        category,
        cast(sum(signals) as bigint) as signals,
        cast(sum(interest) as decimal(18, 3)) as interest,
        max(last_signal_at) as last_signal_at
    from categorised
    where category is not null
    group by user_id, category

),

ranked as (

    select
        *,
        sum(interest) over (partition by user_id) as total_interest,
        row_number() over (partition by user_id order by interest desc, last_signal_at desc, category) as interest_rank
    from weighed

)

select
    user_id,
    category,
    signals,
    interest,
    last_signal_at,
    cast(interest_rank as integer) as interest_rank,
    round(cast(interest as double) / cast(total_interest as double), 6) as share,
    interest >= {{ var('affinity_min_share') }} * total_interest and signals >= {{ var('affinity_min_signals') }} as is_affinity
from ranked
