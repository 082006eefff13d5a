-- One row per (event, channel or `all`, engagement or `all`, user_id) in the dose test: the arm, days at risk, contacts of their weeks, and whether the event came.
{{ config(database='build') }}

with

days as (

    select * from {{ ref('int_dose_days') }}

),

by_event as (

    select
        'leave' as event, user_id, channel, arm, engagement, contacts_7d, leave_days as days, leaves as events
    from days
    where leave_days > 0

    union all

    select
        'click' as event, user_id, channel, arm, engagement, contacts_7d, click_days as days, clicks as events
    from days
    where click_days > 0

),

users as (

    select
        event,
        channel,
        engagement,
        user_id,
        arm,
        cast(sum(days) as bigint) as days,
        cast(sum(days * contacts_7d) as bigint) as contacts,
        cast(sum(events) as bigint) as events
    from by_event
    group by event, channel, engagement, user_id, arm

)

select event, channel, engagement, user_id, arm, days, contacts, events from users

union all

-- the segment is that of the beginning, so a user is in one
select event, channel, 'all' as engagement, user_id, arm, days, contacts, events from users
