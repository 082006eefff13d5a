-- One row per (user_id, channel), every known user and every channel: may marketing be sent there on the plan date, and the first reason why not.
with

users as (

    select * from {{ ref('int_known_users') }}

),

channels as (

    select * from {{ ref('channels') }}

),

profiles as (

    select user_id, birth_date, upper(trim(country)) as country from {{ ref('int_user_profiles') }}

),

listed as (

    select distinct user_id from {{ ref('do_not_contact') }}

),

-- the caps over all channels together
totals as (

    select * from {{ ref('int_cap_headroom') }} where channel = 'all'

),

-- what of a user holds on every channel
people as (

    select
        users.user_id,
        profiles.country,
        segments.policy_segment,
        segments.dose_arm,
        case
            when listed.user_id is not null then 'do_not_contact'
            when {{ whole_years('profiles.birth_date', plan_date()) }} < {{ var('min_marketing_age') }} then 'minor'
            when {{ age('activity.last_sign_date') }} >= {{ var('marketing_retention_days') }} then 'inactive_too_long'
        end as reason,
        coalesce({{ has_just_ordered('orders.last_order_date') }}, false) as has_just_ordered,
        totals.is_used_up as is_total_used_up,
        totals.is_used_up_by_fatigue as is_total_used_up_by_fatigue
    from users
    left join profiles on users.user_id = profiles.user_id
    left join listed on users.user_id = listed.user_id
    left join {{ ref('int_user_last_activity') }} as activity on users.user_id = activity.user_id
    left join {{ ref('int_user_orders') }} as orders on users.user_id = orders.user_id
    left join {{ ref('int_user_policy_segment') }} as segments on users.user_id = segments.user_id
    left join totals on users.user_id = totals.user_id

),

-- dates and weekdays of the seed that are the plan date; an empty channel or country is every one
quiet as (

    select distinct channels.channel, coalesce(upper(trim(blackouts.country)), '') as country
    from {{ ref('blackout_dates') }} as blackouts
    inner join channels on blackouts.channel is null or blackouts.channel = channels.channel
    where blackouts.blackout_date = {{ plan_date() }} or blackouts.weekday = {{ weekday(plan_date()) }}

),

quiet_everywhere as (

    select channel from quiet where country = ''

),

gaps as (

    select * from {{ ref('channel_gaps') }}

),

unused as (

    select * from {{ ref('int_policy_caps') }}

),

unused_totals as (

    select * from unused where channel = 'all'

),

per_channel as (

    select
        people.user_id,
        channels.channel,
        people.reason,
        permissions.user_id is not null as has_address,
        shared.elected_user_id is not null and shared.elected_user_id <> people.user_id as is_duplicate,
        permissions.has_consent,
        permissions.is_suppressed,
        permissions.is_hard_bounced,
        channels.transactional_needs_consent,
        quiet_everywhere.channel is not null or quiet_there.channel is not null as is_quiet,
        people.has_just_ordered,
        coalesce({{ days_between('used.last_contact_date', plan_date()) }} < gaps.min_days, false) as is_too_soon,
        coalesce(used.is_used_up, unused.is_used_up, false) as is_channel_used_up,
        coalesce(people.is_total_used_up, unused_totals.is_used_up, false) as is_total_used_up,
        coalesce(used.is_used_up_by_fatigue, unused.is_used_up_by_fatigue, false)
        or coalesce(people.is_total_used_up_by_fatigue, unused_totals.is_used_up_by_fatigue, false) as is_used_up_by_fatigue
    from people
    cross join channels
    left join {{ ref('int_channel_permissions') }} as permissions
        on people.user_id = permissions.user_id and channels.channel = permissions.channel
    left join {{ ref('int_shared_addresses') }} as shared
        on people.user_id = shared.user_id and channels.channel = shared.channel
    left join {{ ref('int_cap_headroom') }} as used
        on people.user_id = used.user_id and channels.channel = used.channel
    left join unused
        on
            people.policy_segment = unused.policy_segment
            and people.dose_arm is not distinct from unused.dose_arm
            and channels.channel = unused.channel
    left join unused_totals
        on
            people.policy_segment = unused_totals.policy_segment
            and people.dose_arm is not distinct from unused_totals.dose_arm
    left join gaps on channels.channel = gaps.channel
    left join quiet_everywhere on channels.channel = quiet_everywhere.channel
    left join quiet as quiet_there on channels.channel = quiet_there.channel and people.country = quiet_there.country

),

judged as (

    select
        user_id,
        channel,
        case
            when reason is not null then reason
            when not has_address then 'no_address'
            when is_duplicate then 'duplicate_address'
            when not has_consent then 'no_consent'
            when is_suppressed then 'suppressed'
            when is_quiet then 'blackout'
            when has_just_ordered then 'post_purchase'
            when is_too_soon then 'min_gap'
            when is_channel_used_up then 'channel_cap'
            when is_total_used_up then 'total_cap'
            when is_used_up_by_fatigue then 'fatigued'
        end as reason,
        case
            when not has_address then 'no_address'
            when transactional_needs_consent and not has_consent then 'no_consent'
            when is_hard_bounced then 'suppressed'
        end as service_reason
    from per_channel

)

select
    user_id,
    channel,
    {{ plan_date() }} as plan_date,
    reason is null as is_eligible,
    reason,
    service_reason
from judged
