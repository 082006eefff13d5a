-- One row per (plan_date, user_id, campaign_id, audience): who is contacted on the plan date, or would be but for a holdout.
select
    {{ plan_date() }} as plan_date,
    user_id,
    campaign_id,
    audience,
    channel,
    message_class,
    variant,
    holdout_kind,
    value
from {{ ref('int_plan') }}
where channel is not null
