-- One row per (plan_date, user_id, campaign_id, audience, channel) that a plan list carried up to the plan date: whether a message tells of it.
{{ config(database='build') }}

with

-- of known users alone: whoever was forgotten since is nobody
planned as (

    select planned.*
    from {{ ref('stg_planned_contacts') }} as planned
    inner join {{ ref('int_known_users') }} as users on planned.user_id = users.user_id
    where planned.plan_date <= {{ plan_date() }} and planned.holdout_kind is null

),

channels as (

    select * from {{ ref('channels') }}

),

messages as (

    select user_id, campaign_id, channel, contact_date
    from {{ ref('stg_messages') }}
    where
        contact_date <= {{ as_of() }}
        -- history has many more messages than were planned
        and contact_date >= (select min(plan_date) from planned)
        and campaign_id in (select campaign_id from planned)

),

-- the dates for which a message can have been planned: its own, and the day before
logged as (

    select user_id, campaign_id, channel, contact_date as planned_for from messages

    union

    select user_id, campaign_id, channel, {{ add_days('contact_date', -1) }} as planned_for from messages

)

select
    planned.plan_date,
    planned.user_id,
    planned.campaign_id,
    planned.audience,
    planned.channel,
    planned.variant,
    planned.message_class,
    logged.user_id is not null as is_logged,
    planned.plan_date > {{ as_of() }} as is_carried,
    -- marketing on a channel that counts
    planned.message_class = 'marketing' and coalesce(channels.counts_towards_pressure, false) as is_counted,
    -- stands for the contact that no log tells of yet
    logged.user_id is null
    and planned.message_class = 'marketing'
    and coalesce(channels.counts_towards_pressure, false)
    and {{ age('planned.plan_date') }} between 0 and {{ var('plan_grace_days') }} as is_pending
from planned
left join channels on planned.channel = channels.channel
left join logged
    on
        planned.user_id = logged.user_id
        and planned.campaign_id = logged.campaign_id
        and planned.channel = logged.channel
        and planned.plan_date = logged.planned_for
