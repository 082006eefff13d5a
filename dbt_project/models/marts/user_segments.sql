-- One row per (user_id, family): the segment a known user is in, as of the date.
{{ config(materialized='view') }}
{%- for family in families() %}

select
    user_id,
    '{{ family }}' as family,
    {{ family }} as segment,
    as_of
from {{ ref('user_360') }}
{{- '\n\nunion all' if not loop.last }}
{%- endfor %}
