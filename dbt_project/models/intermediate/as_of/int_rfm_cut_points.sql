-- One row per (cut_set, measure, cut): the values that split buyers, as they are now and as they were at the cut date before.
{{ config(database='build') }}

with

{%- if var('rfm_cut_policy') == 'daily' %}

cut_dates as (

    select 'current' as cut_set, {{ as_of() }} as cut_date, {{ as_of() }} as fallback_date

    union all

    select 'previous' as cut_set, {{ add_days(as_of(), -1) }} as cut_date, {{ add_days(as_of(), -1) }} as fallback_date

),
{%- else %}

cut_dates as (

    select 'current' as cut_set, {{ last_day_of_previous_month(as_of()) }} as cut_date, {{ as_of() }} as fallback_date

    union all

    select
        'previous' as cut_set,
        {{ last_day_of_previous_month(last_day_of_previous_month(as_of())) }} as cut_date,
        {{ add_days(as_of(), -1) }} as fallback_date

),
{%- endif %}

dates as (

    select distinct cut_date from cut_dates

),

buyers_then as (

    {{ rfm_buyers('dates') | indent(4) }}

),

populations as (

    select dates.cut_date, count(buyers_then.frequency) as buyers
    from dates
    left join buyers_then on dates.cut_date = buyers_then.cut_date
    group by dates.cut_date

),

-- too few buyers at the cut date: as of the date itself
chosen as (

    select
        cut_dates.cut_set,
        case
            when populations.buyers >= {{ var('rfm_min_cut_population') }} then cut_dates.cut_date
            else cut_dates.fallback_date
        end as cut_date
    from cut_dates
    inner join populations on cut_dates.cut_date = populations.cut_date

),

-- a build that fell back had the cut points of its own day, and so had the day before
current_and_previous as (

    select
        chosen.cut_set,
        case
            when chosen.cut_set = 'previous' and current_set.cut_date = {{ as_of() }} then {{ add_days(as_of(), -1) }}
            else chosen.cut_date
        end as computed_as_of
    from chosen
    cross join (select cut_date from chosen where cut_set = 'current') as current_set

),

-- none where there are buyers enough at the cut dates
fallback_dates as (

    select distinct computed_as_of as cut_date
    from current_and_previous
    where computed_as_of not in (select cut_date from dates)

),

buyers as (

    select * from buyers_then

    union all

    {{ rfm_buyers('fallback_dates') | indent(4) }}

),

cut_points as (
{%- for measure in rfm_measures() %}
{%- for cut in range(1, 5) %}

    select
        sets.cut_set,
        '{{ measure }}' as measure,
        {{ cut }} as cut,
        round({{ quantile(cut / 5, rfm_measure_value(measure, 'buyers')) }}, 6) as value,
        max(sets.computed_as_of) as computed_as_of
    from current_and_previous as sets
    inner join buyers on sets.computed_as_of = buyers.cut_date and buyers.frequency is not null
    group by sets.cut_set

    union all
{%- endfor %}
{%- endfor %}

    -- half of the buyers spend more on an order
    select
        sets.cut_set,
        'order_value' as measure,
        1 as cut,
        round({{ quantile(0.5, 'buyers.order_value') }}, 6) as value,
        max(sets.computed_as_of) as computed_as_of
    from current_and_previous as sets
    inner join buyers on sets.computed_as_of = buyers.cut_date and buyers.order_value is not null
    group by sets.cut_set

)
{%- if var('rfm_cut_policy') == 'fixed' %}

select
    'current' as cut_set,
    measure,
    cut,
    round(value, 6) as value,
    cast(null as date) as computed_as_of
from {{ ref('rfm_fixed_cut_points') }}

union all

select cut_set, measure, cut, value, computed_as_of
from cut_points
where measure = 'order_value' and cut_set = 'current'
{%- else %}

select cut_set, measure, cut, value, computed_as_of
from cut_points
{%- endif %}
