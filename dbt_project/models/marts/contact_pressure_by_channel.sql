-- One row per known user and channel with an address or a contact in the decay window: contacts of that channel, as of the date.
with

users as (

    select * from {{ ref('int_known_users') }}

),

days as (

    select * from {{ ref('int_contact_days') }}

),

measured as (

    select
        user_id,
        channel,
        coalesce(sum(case when {{ age('contact_date') }} < {{ var('pressure_decay_days') }} then contacts end), 0) as recent_contacts,
        {{ pressure_measures() }}
    from days
    group by user_id, channel

),

negative as (

    select
        user_id,
        channel,
        {{ signal_counts() }}
    from {{ ref('int_negative_signals') }}
    where channel is not null and {{ in_last('signal_date', var('negative_signal_days')) }}
    group by user_id, channel

),

pairs as (

    select user_id, channel from {{ ref('int_user_addresses') }}

    union

    select user_id, channel from measured where recent_contacts > 0

),

unused as (

    select * from {{ ref('int_policy_caps') }}

),

-- the caps over all channels bind each
totals as (

    select * from {{ ref('int_cap_headroom') }} where channel = 'all'

),

unused_totals as (

    select * from unused where channel = 'all'

)

select
    pairs.user_id,
    pairs.channel,
    {{ as_of() }} as as_of,
    coalesce(measured.contacts_1d, 0) as contacts_1d,
    coalesce(measured.contacts_7d, 0) as contacts_7d,
    coalesce(measured.contacts_30d, 0) as contacts_30d,
    measured.days_since_last_contact,
    coalesce(measured.decayed_pressure, 0) as decayed_pressure,
    coalesce(measured.contacts_since_reaction, 0) as contacts_since_reaction
    {%- for days in var('response_days') %},
    measured.open_share_{{ days }}d,
    measured.click_share_{{ days }}d
    {%- endfor %},
    coalesce(measured.uncounted_messages_7d, 0) as uncounted_messages_7d,
    coalesce(measured.uncounted_messages_30d, 0) as uncounted_messages_30d
    {%- for signal, name in signal_kinds() if signal != 'uninstall' %},
    coalesce(negative.{{ name }}, 0) as {{ name }}
    {%- endfor %},
    coalesce(caps.headroom, unused.headroom) as headroom,
    coalesce(caps.cap_use, unused.cap_use) as cap_use,
    case
        when
            not coalesce(caps.is_never, unused.is_never, false)
            and not coalesce(totals.is_never, unused_totals.is_never, false)
            then greatest(
                {{ plan_date() }},
                coalesce(caps.full_until, {{ plan_date() }}),
                coalesce(totals.full_until, {{ plan_date() }}),
                coalesce({{ add_days('caps.last_contact_date', 'gaps.min_days') }}, {{ plan_date() }})
            )
    end as next_eligible_date
from pairs
inner join users on pairs.user_id = users.user_id
left join {{ ref('int_user_policy_segment') }} as segments on pairs.user_id = segments.user_id
left join {{ ref('int_cap_headroom') }} as caps on pairs.user_id = caps.user_id and pairs.channel = caps.channel
left join unused
    on
        segments.policy_segment = unused.policy_segment
        and segments.dose_arm is not distinct from unused.dose_arm
        and pairs.channel = unused.channel
left join totals on pairs.user_id = totals.user_id
left join unused_totals
    on
        segments.policy_segment = unused_totals.policy_segment
        and segments.dose_arm is not distinct from unused_totals.dose_arm
left join {{ ref('channel_gaps') }} as gaps on pairs.channel = gaps.channel
left join measured on pairs.user_id = measured.user_id and pairs.channel = measured.channel
left join negative on pairs.user_id = negative.user_id and pairs.channel = negative.channel
