-- One row per measure: how much its scores depend on ties; shares do not add up.
with

buyers as (

    select * from {{ ref('rfm') }} where frequency > 0

),

cuts as (

    select * from {{ ref('rfm_cut_points') }}

),

tiles as (

    select
        *,
        6 - ntile(5) over (order by recency_days, user_id) as recency_tile,
        ntile(5) over (order by frequency, user_id) as frequency_tile,
        ntile(5) over (order by monetary, user_id) as monetary_tile
    from buyers

),

scores as (

    select n as score from {{ series(1, 5) }} as five
){% for measure, score in [('recency', 'r'), ('frequency', 'f'), ('monetary', 'm')] %}

select
    '{{ measure }}' as measure,
    {{ as_of() }} as as_of,
    count(*) as users,
    count(case when {{ rfm_measure_value(measure, 'tiles') }} in (select value from cuts where measure = '{{ measure }}') then 1 end) as users_on_a_cut,
    (
        select nullif(replace({{ joined_text('cast(scores.score as string)', 'scores.score') }}, '|', ','), '')
        from scores
        where not exists (select 1 from buyers where buyers.{{ score }}_score = scores.score)
    ) as empty_scores,
    round(
        cast(count(case when {{ score }}_score <> {{ measure }}_tile then 1 end) as double) / nullif(count(*), 0), 6
    ) as share_differing_under_ntile
from tiles
{{- '\n\nunion all' if not loop.last }}
{%- endfor %}
