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


{% macro rfm_scored_ctes(cut_set) -%}
{#-
    CTEs that end in `scored`: a row per user with an order ever, with the measures as of the date and the scores and
    segment under the current or the previous cut points, and the cut of the mean order value beside them.
-#}
buyers as (

    select * from {{ ref('int_user_orders') }}

),

cuts as (

    select
        {%- for measure in rfm_measures() %}
        {%- for cut in range(1, 5) %}
        max(case when measure = '{{ measure }}' and cut = {{ cut }} then value end) as {{ measure }}_{{ cut }},
        {%- endfor %}
        {%- endfor %}
        max(case when measure = 'order_value' then value end) as order_value_cut
    from {{ ref('int_rfm_cut_points') }}
    where cut_set = '{{ cut_set }}'

),

measured as (

    select
        *,
        {{ age('last_order_date') }} as recency_days,
        orders_in_window as frequency,
        net_revenue_in_window as monetary,
        orders_in_window > 0 as is_in_window
    from buyers

),

with_scores as (

    select
        measured.*,
        cuts.order_value_cut,
        cuts.recency_1 is not null as has_cut_points,
        {%- for measure, score in [('recency', 'r'), ('frequency', 'f'), ('monetary', 'm')] %}
        {%- set value = rfm_measure_value(measure, 'measured') %}
        case
            when not measured.is_in_window then 1
            else {{ '5 - (' if score == 'r' else '1 + (' }}
                {%- for cut in range(1, 5) %}
                {{ '+ ' if not loop.first }}case when cuts.{{ measure }}_{{ cut }} < {{ value }} then 1 else 0 end
                {%- endfor %}
            )
        end as {{ score }}_score{{ ',' if not loop.last }}
        {%- endfor %}
    from measured
    cross join cuts

),

combined as (

    select *, cast(floor((f_score + m_score + 1) / 2.0) as integer) as fm_score
    from with_scores

),

map as (

    select * from {{ ref('rfm_map') }}

),

scored as (

    select
        combined.*,
        case when combined.is_in_window then map.segment else 'lost' end as segment
    from combined
    left join map on {{ in_rfm_cell('map', 'combined') }}

)
{%- endmacro %}


{% macro value_tier(alias) -%}
    {#- The segment of the family value_tier, for somebody with an order ever. -#}
    case
        when {{ alias }}.f_score >= {{ var('value_tier_very_good_score') }} and {{ alias }}.m_score >= {{ var('value_tier_very_good_score') }} then 'very_good'
        when {{ alias }}.f_score + {{ alias }}.m_score >= {{ var('value_tier_good_sum') }} then 'good'
        when {{ alias }}.f_score + {{ alias }}.m_score >= {{ var('value_tier_average_sum') }} then 'average'
        else 'occasional'
    end
{%- endmacro %}


{% macro loyalty_basket(alias) -%}
    {#- The segment of the family loyalty_basket, for somebody with an order ever. -#}
    concat(
        case when {{ alias }}.orders_in_year >= {{ var('loyalty_basket_frequent_orders') }} then 'frequent' else 'rare' end,
        case when {{ alias }}.mean_order_value >= {{ alias }}.order_value_cut then '_large' else '_small' end
    )
{%- endmacro %}


{% macro rfm_buyers(dates) -%}
{#- A row per cut_date of a CTE and user with an order in the windows: the RFM measures and the mean order value, as known by then. -#}
{%- set window = [var('rfm_window_days'), var('order_year_days')] | max -%}
select
    cut_date,
    user_id,
    min(age_days) as recency_days,
    cast(sum(case when age_days < {{ var('rfm_window_days') }} then orders end) as bigint) as frequency,
    cast(sum(case when age_days < {{ var('rfm_window_days') }} then net_revenue end) as decimal(18, 2)) as monetary,
    {{ mean_order_value('age_days < ' ~ var('order_year_days')) }} as order_value
from (
    select
        dates.cut_date,
        orders.user_id,
        {{ days_between('orders.order_date', 'dates.cut_date') }} as age_days,
        sum(orders.orders) as orders,
        sum(orders.orders_without_value) as orders_without_value,
        sum(orders.net_revenue) as net_revenue
    from {{ ref('int_user_orders_daily') }} as orders
    inner join {{ dates }} as dates
        on
            orders.known_date <= dates.cut_date
            and orders.order_date <= dates.cut_date
            and orders.order_date > {{ add_days('dates.cut_date', -window) }}
    where orders.order_date > {{ add_days('(select min(cut_date) from ' ~ dates ~ ')', -window) }}
    group by dates.cut_date, orders.user_id, orders.order_date
    having sum(orders.orders) > 0
) as order_days
group by cut_date, user_id
{%- endmacro %}
