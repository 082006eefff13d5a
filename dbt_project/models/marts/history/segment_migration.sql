-- One row per (period, period_start, family, from_segment, to_segment, is_only_cut_points): users who moved. Months don't add up from days: a user may move twice.
{{ config(materialized='view') }}
-- depends_on: {{ ref('user_360') }}, from which the pipeline writes what is read here, after dbt

select
    period,
    period_start,
    family,
    from_segment,
    to_segment,
    users,
    is_only_cut_points
from {{ source('history', 'segment_moves') }}
where family in ({% for family in families() %}'{{ family }}'{{ ', ' if not loop.last }}{% endfor %})
