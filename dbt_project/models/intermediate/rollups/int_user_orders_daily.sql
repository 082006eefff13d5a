-- One row per (user_id, order_date, known_date): signed changes; the sum over known_date <= D is the day as known by D.
{{ config(
    unique_key=['user_id', 'order_date', 'known_date'],
    meta={'touched_by': 'touched_user_orders', 'touched_keys': ['user_id', 'order_date'], 'logic_version': 1,
          'fingerprint_seeds': ['exchange_rates'],
          'fingerprint_vars': ['business_time_zone', 'business_currency']}
) }}
-- depends_on: {{ ref('touched_user_orders') }}

with

versions as (

    select * from {{ ref('stg_orders') }} as source
    {{ only_touched(['user_id', 'order_date'], ref('touched_user_orders')) }}

),

rates as (

    select * from {{ ref('stg_exchange_rates') }}

),

items as (

    select order_id, sum(quantity) as items
    from {{ ref('stg_order_items') }} as source
    {%- if is_incremental() %}
    where order_id in (select order_id from versions)
    {%- endif %}
    group by order_id

),

-- an order counts while it is placed or completed and not refunded in full
counting as (

    select
        versions.user_id,
        versions.order_date,
        greatest(versions.known_from, versions.order_date) as counts_from,
        versions.known_until as counts_until,
        {{ net_revenue('versions', 'rates') }} as net_revenue,
        coalesce(items.items, 0) as items
    from versions
    left join rates
        on
            versions.currency = rates.currency
            and versions.order_date >= rates.valid_from
            and versions.order_date < rates.valid_until
    left join items on versions.order_id = items.order_id
    where
        {{ is_order('versions') }}
        and greatest(versions.known_from, versions.order_date) < versions.known_until

),

changes as (

    select
        user_id, order_date, counts_from as known_date,
        1 as orders,
        case when net_revenue is null then 1 else 0 end as orders_without_value,
        coalesce(net_revenue, 0) as net_revenue,
        items
    from counting

    union all

    select
        user_id, order_date, counts_until as known_date,
        -1 as orders,
        case when net_revenue is null then -1 else 0 end as orders_without_value,
        -coalesce(net_revenue, 0) as net_revenue,
        -items as items
    from counting
    where counts_until < {{ end_of_time() }}

)

select
    user_id,
    order_date,
    known_date,
    cast(sum(orders) as bigint) as orders,
    cast(sum(orders_without_value) as bigint) as orders_without_value,
    cast(sum(net_revenue) as decimal(18, 2)) as net_revenue,
    cast(sum(items) as decimal(38, 6)) as items
from changes
group by user_id, order_date, known_date
having
    sum(orders) <> 0
    or sum(orders_without_value) <> 0
    or sum(net_revenue) <> 0
    or sum(items) <> 0
