-- One row per known user: contacts of all channels together, as of the date. Shares and decayed sums of users do not add up.
with

users as (

    select * from {{ ref('int_known_users') }}

),

days as (

    select * from {{ ref('int_contact_days') }}

),

signals as (

    select * from {{ ref('int_negative_signals') }}
    where {{ in_last('signal_date', var('negative_signal_days')) }}

),

measured as (

    select
        user_id,
        {{ pressure_measures() }}
    from days
    group by user_id

),

negative as (

    select
        user_id,
        {{ signal_counts() }}
    from signals
    group by user_id

),

-- the caps over all channels: of who had contacts, and of everybody else
caps as (

    select * from {{ ref('int_cap_headroom') }} where channel = 'all'

),

unused as (

    select * from {{ ref('int_policy_caps') }} where channel = 'all'

)

select
    users.user_id,
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
    {%- for _, name in signal_kinds() %},
    coalesce(negative.{{ name }}, 0) as {{ name }}
    {%- endfor %},
    status.policy_segment,
    arms.dose_arm,
    status.segment as pressure_status,
    coalesce(caps.headroom, unused.headroom) as headroom,
    coalesce(caps.cap_use, unused.cap_use) as cap_use,
    case
        when not coalesce(caps.is_never, unused.is_never, false)
            then greatest({{ plan_date() }}, coalesce(caps.full_until, {{ plan_date() }}))
    end as next_eligible_date,
    coalesce(cap_use.is_over_cap, false) as is_over_cap,
    coalesce(cap_use.is_over_cap_not_by_us, false) as over_cap_not_by_us
from users
left join {{ ref('fam_pressure_status') }} as status on users.user_id = status.user_id
left join caps on users.user_id = caps.user_id
left join {{ ref('int_dose_arms') }} as arms on users.user_id = arms.user_id
left join unused
    on status.policy_segment = unused.policy_segment and arms.dose_arm is not distinct from unused.dose_arm
left join {{ ref('int_user_cap_use') }} as cap_use on users.user_id = cap_use.user_id
left join measured on users.user_id = measured.user_id
left join negative on users.user_id = negative.user_id
