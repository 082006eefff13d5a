-- Returns a row where the policy alone keeps everybody from getting marketing on the plan date: a holiday may, a mistake too.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'channel_eligibility'}}}) }}
select count(*) as kept_from_it
from {{ ref('channel_eligibility') }}
where is_eligible or reason in ('blackout', 'min_gap', 'channel_cap', 'total_cap', 'fatigued')
having count(*) > 0 and count(case when is_eligible then 1 end) = 0
