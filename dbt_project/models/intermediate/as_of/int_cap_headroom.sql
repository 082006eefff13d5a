-- One row per (user_id, channel or `all`) with a contact in a window that ends with the plan date: what the caps leave, and from when there is room.
{{ config(database='build') }}

with

policy as (

    select * from {{ ref('contact_policy') }}

),

gaps as (

    select * from {{ ref('channel_gaps') }}

),

users as (

    select * from {{ ref('int_user_policy_segment') }}

),

recent as (

    select user_id, channel, contact_date, contacts
    from {{ ref('int_contact_days') }}
    where
        contacts > 0
        and contact_date > {{ add_days(plan_date(), '-greatest(coalesce((select max(window_days) from policy), 1), coalesce((select max(min_days) from gaps), 1))') }}

),

of_person as (

    {{ of_person('recent', ['contact_date', 'contacts']) }}

),

on_channels as (

    select user_id, channel, contact_date, sum(contacts) as contacts from of_person group by user_id, channel, contact_date

    union all

    select user_id, 'all' as channel, contact_date, sum(contacts) as contacts from of_person group by user_id, contact_date

),

days as (

    select
        *,
        {{ days_between('contact_date', plan_date()) }} as days_before,
        -- with this date the contacts since then
        sum(contacts) over (
            partition by user_id, channel order by contact_date desc rows between unbounded preceding and current row
        ) as contacts_since
    from on_channels

),

last_contacts as (

    select
        days.user_id,
        days.channel,
        users.policy_segment,
        users.dose_arm,
        max(days.contact_date) as last_contact_date
    from days
    inner join users on days.user_id = users.user_id
    group by days.user_id, days.channel, users.policy_segment, users.dose_arm

),

fitting as (

    select
        last_contacts.user_id,
        last_contacts.channel,
        policy.policy_segment,
        policy.window_days,
        {{ arm_cap('policy', 'last_contacts') }} as max_contacts
    from last_contacts
    inner join policy
        on
            last_contacts.channel = policy.channel
            and policy.policy_segment in (last_contacts.policy_segment, '*')

),

caps as (

    select
        fitting.user_id,
        fitting.channel,
        fitting.policy_segment,
        fitting.window_days,
        fitting.max_contacts,
        cast(coalesce(sum(days.contacts), 0) as bigint) as contacts,
        -- the cap is used up until the contact that filled it leaves the window
        {{ add_days('max(case when days.contacts_since >= fitting.max_contacts then days.contact_date end)', 'fitting.window_days') }} as full_until
    from fitting
    left join days
        on
            fitting.user_id = days.user_id
            and fitting.channel = days.channel
            and days.days_before < fitting.window_days
    group by fitting.user_id, fitting.channel, fitting.policy_segment, fitting.window_days, fitting.max_contacts

),

measured as (

    select
        user_id,
        channel,
        {{ caps_left('max_contacts - contacts') }},
        {{ joined_text(cap_in_words('contacts'), cap_order()) }} as cap_use,
        max(full_until) as full_until
    from caps as policy
    group by user_id, channel

)

select
    last_contacts.user_id,
    last_contacts.channel,
    last_contacts.last_contact_date,
    measured.headroom,
    coalesce(measured.is_never, false) as is_never,
    coalesce(measured.is_used_up, false) as is_used_up,
    coalesce(measured.is_used_up_by_fatigue, false) as is_used_up_by_fatigue,
    measured.cap_use,
    measured.full_until
from last_contacts
left join measured on last_contacts.user_id = measured.user_id and last_contacts.channel = measured.channel
