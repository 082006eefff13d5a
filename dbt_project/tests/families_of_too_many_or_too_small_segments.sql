-- Returns families with more segments than anybody can keep apart, or with a segment that hardly anybody is in (marts.segment_quality).
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'int_family_quality'}}}) }}
select family, segments, smallest_segment, smallest_share
from {{ ref('int_family_quality') }}
where is_too_many or is_too_small
