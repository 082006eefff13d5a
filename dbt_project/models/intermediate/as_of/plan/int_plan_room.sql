-- One row per (user_id, channel or `all`) of marketing candidates: how many messages more the caps allow on the plan date, beside what its lists carry already.
{{ config(database='build') }}

with

channels as (

    select * from {{ ref('channels') }}

),

candidates as (

    select * from {{ ref('int_candidates') }} where fall_out is null and message_class = 'marketing'

),

options as (

    select distinct candidates.user_id, options.channel
    from {{ ref('int_candidate_channels') }} as options
    inner join candidates
        on
            options.user_id = candidates.user_id
            and options.audience = candidates.audience
            and options.campaign_id = candidates.campaign_id

),

pairs as (

    select user_id, channel from options

    union

    select user_id, 'all' as channel from options

),

own_messages as (

    select distinct user_id, campaign_id, channel
    from {{ ref('int_planned_contacts') }}
    where is_carried and is_counted

),

carried_messages as (

    {{ of_person('own_messages', ['campaign_id']) }}

),

carried as (

    select user_id, channel, count(*) as contacts from carried_messages group by user_id, channel

    union all

    select user_id, 'all' as channel, count(*) as contacts from carried_messages group by user_id

),

rooms as (

    select
        pairs.user_id,
        pairs.channel,
        coalesce(used.headroom, unused.headroom) as headroom,
        coalesce(carried.contacts, 0) as carried,
        -- a gap of a day and more also allows one message a day
        coalesce(gaps.min_days >= 1 and channels.counts_towards_pressure, false) as is_once_a_day
    from pairs
    inner join {{ ref('int_user_policy_segment') }} as segments on pairs.user_id = segments.user_id
    left join {{ ref('int_cap_headroom') }} as used
        on pairs.user_id = used.user_id and pairs.channel = used.channel
    left join {{ ref('int_policy_caps') }} as unused
        on
            segments.policy_segment = unused.policy_segment
            and segments.dose_arm is not distinct from unused.dose_arm
            and pairs.channel = unused.channel
    left join channels on pairs.channel = channels.channel
    left join {{ ref('channel_gaps') }} as gaps on pairs.channel = gaps.channel
    left join carried on pairs.user_id = carried.user_id and pairs.channel = carried.channel

)

select
    user_id,
    channel,
    cast(case when is_once_a_day then least(coalesce(headroom, 1), 1) else headroom end - carried as bigint) as room,
    cast(carried as bigint) as carried
from rooms
