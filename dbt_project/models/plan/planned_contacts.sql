-- One row per (plan_date, user_id, campaign_id, audience, channel) that a plan list carried lately: whether its message has been seen.
select
    plan_date,
    user_id,
    campaign_id,
    audience,
    channel,
    variant,
    message_class,
    is_logged,
    is_pending
from {{ ref('int_planned_contacts') }}
where {{ age('plan_date') }} < {{ var('pressure_month_days') }}
