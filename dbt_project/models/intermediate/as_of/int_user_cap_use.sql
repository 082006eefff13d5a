-- One row per user with a contact in a window that a cap limits: how near the nearest cap is, in windows that end with the date.
{{ config(database='build') }}

with

policy as (

    -- 0 means never: it can't be used up
    select * from {{ ref('contact_policy') }} where max_contacts > 0

),

windows as (

    select distinct channel, window_days from policy

),

days as (

    select user_id, channel, contact_date, contacts, planned_contacts from {{ ref('int_contact_days') }}
    where contacts > 0 and contact_date > {{ add_days(as_of(), '-(select max(window_days) from policy)') }}

),

-- contacts of each window that the policy knows, on a channel or on all together
counted as (

    select
        days.user_id,
        windows.channel,
        windows.window_days,
        sum(days.contacts) as contacts,
        sum(days.planned_contacts) as planned_contacts
    from windows
    inner join days
        on
            windows.channel in (days.channel, 'all')
            and {{ age('days.contact_date') }} < windows.window_days
    group by days.user_id, windows.channel, windows.window_days

),

used as (

    select
        counted.user_id,
        counted.contacts,
        counted.planned_contacts,
        {{ arm_cap('policy', 'users') }} as max_contacts
    from counted
    inner join {{ ref('int_user_policy_segment') }} as users on counted.user_id = users.user_id
    inner join policy
        on
            counted.channel = policy.channel
            and counted.window_days = policy.window_days
            and policy.policy_segment in (users.policy_segment, '*')

)

select
    user_id,
    bool_or(contacts > max_contacts) as is_over_cap,
    -- messages that no plan carried went beyond it
    bool_or(contacts > max_contacts and planned_contacts <= max_contacts) as is_over_cap_not_by_us,
    bool_or(contacts = max_contacts) as is_at_cap,
    bool_or(contacts >= {{ var('pressure_near_cap_share') }} * max_contacts) as is_near_cap
from used
group by user_id
