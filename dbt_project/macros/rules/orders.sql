{% macro is_order(versions) -%}
    {#- Whether a version of an order counts: placed or completed, and not refunded in full. -#}
    {{ versions }}.status in ('placed', 'completed')
    and not (
        {{ versions }}.refunded_amount > 0
        and {{ versions }}.refunded_amount >= {{ versions }}.gross_amount - {{ versions }}.discount_amount
    )
{%- endmacro %}


{% macro net_revenue(versions, rates) -%}
    {#-
        What a version of an order is worth in the business currency, rounded to cents once it is converted; null without
        a rate. The types are those whose product keeps its digits on any engine: 19 and 18, and one more, are 38.
    -#}
    cast(round(
        cast(
            {{ versions }}.gross_amount - {{ versions }}.discount_amount - {{ versions }}.refunded_amount
            - {{ versions }}.tax_amount - {{ versions }}.shipping_amount as decimal(19, 6)
        )
        * cast(
            case when coalesce({{ versions }}.currency, '{{ var("business_currency") }}') = '{{ var("business_currency") }}' then 1 else {{ rates }}.rate end
            as decimal(18, 9)
        ),
        2
    ) as decimal(18, 2))
{%- endmacro %}


{% macro mean_order_value(condition) -%}
    {#- Over days of orders: net revenue by order, of orders with a value on the days that meet a condition; null without any. -#}
    round(
        cast(sum(case when {{ condition }} then net_revenue end) as double)
        / nullif(sum(case when {{ condition }} then orders - orders_without_value end), 0), 6
    )
{%- endmacro %}


{% macro has_just_ordered(last_order_date) -%}
    {#- Whether the plan date is in the pause that follows an order; null without an order. -#}
    {{ days_between(last_order_date, plan_date()) }} <= {{ var('post_purchase_follow_up_days') }}
{%- endmacro %}
