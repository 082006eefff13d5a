-- One row per user with an order as of the date: RFM measures of the window, and those of buy-till-you-die models over all orders.
{{ config(database='build') }}

with

days as (

    select
        user_id,
        order_date,
        sum(orders) as orders,
        sum(orders_without_value) as orders_without_value,
        sum(net_revenue) as net_revenue
    from {{ ref('int_user_orders_daily') }}
    where known_date <= {{ as_of() }}
    group by user_id, order_date
    having sum(orders) > 0

),

numbered as (

    select *, min(order_date) over (partition by user_id) as first_order_date
    from days

),

marked as (

    select *, order_date > first_order_date and orders > orders_without_value as is_repeat_with_value
    from numbered

)

select
    user_id,
    first_order_date,
    max(order_date) as last_order_date,
    cast(sum(orders) as bigint) as orders,
    cast(sum(orders_without_value) as bigint) as orders_without_value,
    cast(sum(net_revenue) as decimal(18, 2)) as net_revenue,
    count(*) - 1 as repeat_frequency,
    cast(coalesce(sum(case when {{ in_last('order_date', var('rfm_window_days')) }} then orders end), 0) as bigint) as orders_in_window,
    cast(coalesce(sum(case when {{ in_last('order_date', var('rfm_window_days')) }} then net_revenue end), 0) as decimal(18, 2)) as net_revenue_in_window,
    -- the window of lifecycle and loyalty_basket
    cast(coalesce(sum(case when {{ in_last('order_date', var('order_year_days')) }} then orders end), 0) as bigint) as orders_in_year,
    coalesce(
        {{ mean_order_value(in_last('order_date', var('order_year_days'))) }}, {{ mean_order_value('true') }}
    ) as mean_order_value,
    {{ days_between('first_order_date', 'max(order_date)') }} as recency,
    {{ days_between('first_order_date', as_of()) }} as t,
    -- the first date left out, and dates whose orders all lack a value
    coalesce(
        round(
            cast(sum(case when is_repeat_with_value then net_revenue end) as double)
            / nullif(count(case when is_repeat_with_value then 1 end), 0), 6
        ),
        0
    ) as mean_repeat_value
from marked
group by user_id, first_order_date
