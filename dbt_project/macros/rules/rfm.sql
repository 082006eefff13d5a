{% macro rfm_buyers(date) -%}
    {#- One row per buyer with an order in the RFM window that ends on a date: recency_days, frequency, monetary. -#}
    select
        user_id,
        {{ days_between('max(order_date)', date) }} as recency_days,
        cast(sum(orders) as bigint) as frequency,
        cast(sum(net_revenue) as decimal(18, 2)) as monetary
    from (
        select user_id, order_date, sum(orders) as orders, sum(net_revenue) as net_revenue
        from {{ ref('int_user_orders_daily') }}
        where
            known_date <= {{ date }}
            and order_date > {{ add_days(date, -var('rfm_window_days')) }}
        group by user_id, order_date
        having sum(orders) > 0
    ) as order_days
    group by user_id
{%- endmacro %}


{% macro rfm_measures() -%} {{ return(['recency', 'frequency', 'monetary']) }} {%- endmacro %}


{% macro rfm_measure_value(measure, alias) -%}
    cast({{ alias }}.{{ 'recency_days' if measure == 'recency' else measure }} as double)
{%- endmacro %}


{% macro in_rfm_cell(map, scores) -%}
    {#- A row of the map is a range over R, F, M or FM; an empty end is open. -#}
    {%- for score in ['r', 'f', 'm', 'fm'] %}
    {{- 'and ' if not loop.first }}({{ map }}.{{ score }}_min is null or {{ scores }}.{{ score }}_score >= {{ map }}.{{ score }}_min)
    and ({{ map }}.{{ score }}_max is null or {{ scores }}.{{ score }}_score <= {{ map }}.{{ score }}_max)
    {% endfor -%}
{%- endmacro %}
