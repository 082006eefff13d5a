-- One row per user who knows the problem or the kinds of solution, but no product yet.
{{ config(meta={
    'objective': 'One step up the awareness ladder',
    'criteria': 'purchase_stage is problem_aware or solution_aware',
    'offer': 'Content for the next stage: a guide, a comparison',
    'channels': ['email', 'web_push', 'in_app'],
    'value': 1,
    'repeat_after_days': 14,
    'needs': ['events.user_id'],
}) }}
select user_id
from {{ ref('fam_purchase_stage') }}
where segment in ('problem_aware', 'solution_aware')
