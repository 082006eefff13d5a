-- One row per published family: whether its segments tell users apart. Shares and coefficients do not add up.
{{ config(materialized='view') }}
-- depends_on: {{ ref('int_family_quality') }}, {{ ref('int_quality_sample') }}, {{ ref('family_overlap') }}, {{ ref('user_360') }}, from which the pipeline computes what is read here, after dbt

select
    as_of,
    family,
    users,
    segments,
    is_too_many,
    smallest_segment,
    smallest_share,
    is_too_small,
    largest_share,
    {%- for measure in quality_measures() %}
    eta2_{{ measure.name }},
    {%- endfor %}
    built_from,
    silhouette,
    unchanged_share,
    closest_family,
    closest_cramers_v
from {{ source('measures', 'segment_quality') }}
