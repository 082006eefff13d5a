-- Returns datasets with rows dated after the date of the run: kept, and waiting for it.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'build_info'}}}) }}
-- depends_on: {{ ref('build_info') }}
{%- for dataset, date in [('events', 'activity_date'), ('orders', 'order_date'), ('messages', 'contact_date'), ('consents', 'occurred_date')] %}
select '{{ dataset }}' as dataset, count(*) as rows_waiting
from {{ ref('stg_' ~ dataset) }}
where {{ date }} > {{ as_of() }}
having count(*) > 0
{{ 'union all' if not loop.last }}
{%- endfor %}
