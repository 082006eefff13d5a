-- One row per (as_of, family, segment): the users that were in a segment, as of each built date. Users add up within a family and date alone.
{{ config(materialized='view') }}
-- depends_on: {{ ref('user_360') }}, from which the pipeline writes what is read here, after dbt

select
    as_of,
    family,
    segment,
    users
from {{ source('history', 'segment_sizes') }}
where family in ({% for family in families() %}'{{ family }}'{{ ', ' if not loop.last }}{% endfor %})
