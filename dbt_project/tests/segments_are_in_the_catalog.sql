-- Returns segments that users are in and the catalogue does not explain.
{{ config(meta={'dagster': {'ref': {'name': 'segment_catalog'}}}) }}
select user_segments.family, user_segments.segment, count(*) as users
from {{ ref('user_segments') }} as user_segments
left join {{ ref('segment_catalog') }} as catalog
    on user_segments.family = catalog.family and user_segments.segment = catalog.segment
where catalog.segment is null
group by user_segments.family, user_segments.segment
