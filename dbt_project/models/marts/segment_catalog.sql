-- One row per (family, segment): its rule in words with the thresholds of today, and what to do with it.
{%- set thresholds = [
    'engagement_new_days', 'engagement_dormant_days', 'buyer_recency_week_days', 'buyer_recency_month_days',
    'buyer_recency_year_days', 'rfm_window_days',
] %}

with

entries as (

    select * from {{ ref('segment_catalog_entries') }}

)

select
    family,
    segment,
    position,
    {% for _ in thresholds %}replace({% endfor %}rule
    {%- for name in thresholds %}, '{{ '{' ~ name ~ '}' }}', '{{ var(name) }}'){% endfor %} as rule,
    action
from entries
