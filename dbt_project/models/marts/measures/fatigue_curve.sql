-- One row per (source, event, channel or `all`, engagement or `all`, contacts_7d): how often a day with so many contacts in its week ends in the event. Days and events add up over contacts_7d, users do not.
with

days as (

    select * from {{ ref('int_fatigue_days') }}

),

by_event as (

    select 'leave' as event, user_id, channel, engagement, contacts_7d, leave_days as days, leaves as events
    from days
    where leave_days > 0

    union all

    select 'click' as event, user_id, channel, engagement, contacts_7d, click_days as days, clicks as events
    from days
    where click_days > 0

),

by_user as (

    select event, channel, engagement, contacts_7d, days, events from by_event

    union all

    select event, channel, 'all' as engagement, contacts_7d, sum(days) as days, sum(events) as events
    from by_event
    group by event, channel, contacts_7d, user_id

),

sums as (

    select
        event,
        channel,
        engagement,
        contacts_7d,
        cast(sum(days) as bigint) as user_days,
        count(*) as users,
        cast(sum(events) as bigint) as events,
        {{ products_by_user() }}
    from by_user
    group by event, channel, engagement, contacts_7d

),

-- days of a user are not independent of each other: users are
hazards as (

    select
        event,
        channel,
        engagement,
        contacts_7d,
        user_days,
        users,
        events,
        cast(events as double) / user_days as hazard,
        {{ clustered_error('events', 'user_days', 'users') }} as standard_error
    from sums

)

select
    {{ as_of() }} as as_of,
    'observational' as source,
    event,
    channel,
    engagement,
    cast(contacts_7d as integer) as contacts_7d,
    user_days,
    users,
    events,
    round(hazard, 9) as hazard,
    round({{ hazard_bound('low', 'events', 'user_days', 'standard_error') }}, 9) as hazard_low,
    round({{ hazard_bound('high', 'events', 'user_days', 'standard_error') }}, 9) as hazard_high
from hazards

union all

select
    {{ as_of() }} as as_of,
    'dose_arms' as source,
    event,
    channel,
    engagement,
    cast(contacts_7d as integer) as contacts_7d,
    cast(user_days as bigint) as user_days,
    users,
    cast(events as bigint) as events,
    round(hazard, 9) as hazard,
    round(hazard_low, 9) as hazard_low,
    round(hazard_high, 9) as hazard_high
from {{ ref('int_dose_curve') }}
