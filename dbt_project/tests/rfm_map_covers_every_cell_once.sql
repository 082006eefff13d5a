-- Returns cells of R x F x M that no row of the RFM map covers, or several do, and rows of the map that cover no cell.
{{ config(meta={'dagster': {'ref': {'name': 'rfm_map'}}}) }}
with

cells as (

    select
        r.n as r_score,
        f.n as f_score,
        m.n as m_score,
        cast(floor((f.n + m.n + 1) / 2.0) as integer) as fm_score
    from {{ series(1, 5) }} as r
    cross join {{ series(1, 5) }} as f
    cross join {{ series(1, 5) }} as m

),

map as (

    select *, row_number() over (order by segment, r_min, r_max, f_min, m_min, fm_min) as map_row from {{ ref('rfm_map') }}

),

matches as (

    select cells.*, map.segment, map.map_row
    from cells
    left join map on {{ in_rfm_cell('map', 'cells') }}

)

select
    case when count(segment) = 0 then 'gap' else 'overlap' end as problem,
    concat('R', r_score, ' F', f_score, ' M', m_score) as place
from matches
group by r_score, f_score, m_score
having count(segment) <> 1

union all

select 'unreachable' as problem, map.segment as place
from map
left join matches on map.map_row = matches.map_row
where matches.map_row is null

union all

select 'unknown segment' as problem, map.segment as place
from map
left join {{ ref('segment_catalog_entries') }} as entries on entries.family = 'rfm' and map.segment = entries.segment
where entries.segment is null
