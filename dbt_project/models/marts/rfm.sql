-- One row per user with an order ever: RFM measures, scores and segment as of the date.
with

buyers as (

    select * from {{ ref('int_user_orders') }}

),

window_buyers as (

    {{ rfm_buyers(as_of()) }}

),

cuts as (

    select
        {%- for measure in rfm_measures() %}{% set measure_loop = loop %}
        {%- for cut in range(1, 5) %}
        max(case when measure = '{{ measure }}' and cut = {{ cut }} then value end) as {{ measure }}_{{ cut }}
        {{- ',' if not (loop.last and measure_loop.last) }}
        {%- endfor %}
        {%- endfor %}
    from {{ ref('rfm_cut_points') }}

),

measured as (

    select
        buyers.user_id,
        {{ age('buyers.last_order_date') }} as recency_days,
        coalesce(window_buyers.frequency, 0) as frequency,
        coalesce(window_buyers.monetary, 0) as monetary,
        window_buyers.user_id is not null as is_in_window,
        buyers.repeat_frequency,
        buyers.recency,
        buyers.t,
        buyers.mean_repeat_value
    from buyers
    left join window_buyers on buyers.user_id = window_buyers.user_id

),

scored as (

    select
        measured.*,
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
    from scored

),

map as (

    select * from {{ ref('rfm_map') }}

)

select
    combined.user_id,
    {{ as_of() }} as as_of,
    combined.recency_days,
    combined.frequency,
    cast(combined.monetary as decimal(18, 2)) as monetary,
    combined.r_score,
    combined.f_score,
    combined.m_score,
    combined.fm_score,
    case when combined.is_in_window then map.segment else 'lost' end as segment,
    combined.repeat_frequency,
    combined.recency,
    combined.t,
    combined.mean_repeat_value
from combined
left join map on {{ in_rfm_cell('map', 'combined') }}
