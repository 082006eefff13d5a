-- Returns keys with several versions of one time: only their content decides which counts. Supply updated_at.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'stg_orders'}}}) }}
{%- for dataset in ['orders', 'users', 'addresses', 'consents', 'campaigns', 'products', 'subscriptions'] %}
select '{{ dataset }}' as dataset, count(*) as versions
from {{ ref('stg_' ~ dataset) }}
where has_equal_times
having count(*) > 0
{{ 'union all' if not loop.last }}
{%- endfor %}
