-- One row per (measure, cut): the value that splits the buyers of the window at 20, 40, 60 or 80 %.
{%- if var('rfm_cut_policy') not in ['monthly', 'daily', 'fixed'] %}
{{ exceptions.raise_compiler_error("The var rfm_cut_policy is '" ~ var('rfm_cut_policy') ~ "'; set it to monthly, daily or fixed in dbt_project.yml.") }}
{%- endif %}
{%- if var('rfm_cut_policy') == 'fixed' %}

select
    measure,
    cut,
    round(value, 6) as value,
    cast(null as date) as computed_as_of
from {{ ref('rfm_fixed_cut_points') }}
{%- else %}
{%- set cut_date = as_of() if var('rfm_cut_policy') == 'daily' else last_day_of_previous_month(as_of()) %}

with

buyers_at_cut_date as (

    {{ rfm_buyers(cut_date) }}

),

buyers_today as (

    {{ rfm_buyers(as_of()) }}

),

chosen as (

    -- too few buyers at the cut date: as of today
    select count(*) >= {{ var('rfm_min_cut_population') }} as is_cut_date
    from buyers_at_cut_date

),

buyers as (

    select *, {{ cut_date }} as computed_as_of from buyers_at_cut_date where (select is_cut_date from chosen)

    union all

    select *, {{ as_of() }} as computed_as_of from buyers_today where not (select is_cut_date from chosen)

)
{%- for measure in rfm_measures() %}{% set measure_loop = loop %}
{%- for cut in range(1, 5) %}

select
    '{{ measure }}' as measure,
    {{ cut }} as cut,
    round({{ quantile(cut / 5, rfm_measure_value(measure, 'buyers')) }}, 6) as value,
    max(computed_as_of) as computed_as_of
from buyers
having count(*) > 0
{{- '\n\nunion all' if not (loop.last and measure_loop.last) }}
{%- endfor %}
{%- endfor %}
{%- endif %}
