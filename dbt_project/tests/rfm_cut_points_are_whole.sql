-- Returns measures without four cut points while there are buyers to score: fill the seed rfm_fixed_cut_points.
{{ config(meta={'dagster': {'ref': {'name': 'rfm_cut_points'}}}) }}
{%- for measure in rfm_measures() %}
select '{{ measure }}' as measure, count(cuts.cut) as cuts
from (select count(*) as buyers from {{ ref('rfm') }} where frequency > 0) as population
left join {{ ref('rfm_cut_points') }} as cuts on cuts.measure = '{{ measure }}'
group by population.buyers
having population.buyers > 0 and count(cuts.cut) <> 4
{{ 'union all' if not loop.last }}
{%- endfor %}
