-- One row per (event, channel or `all`, engagement or `all`, arm) of the dose test: how often a day ends in the event, and by how much more or less than in the control arm.
with

users as (

    select * from {{ ref('int_dose_users') }}

),

sums as (

    select
        event,
        channel,
        engagement,
        arm,
        count(*) as users,
        cast(sum(days) as bigint) as user_days,
        cast(sum(contacts) as bigint) as contacts,
        cast(sum(events) as bigint) as events,
        {{ products_by_user() }}
    from users
    group by event, channel, engagement, arm

),

hazards as (

    select
        event,
        channel,
        engagement,
        arm,
        users,
        user_days,
        contacts,
        events,
        cast(events as double) / user_days as hazard,
        {{ clustered_error('events', 'user_days', 'users') }} as standard_error
    from sums

),

control as (

    select * from hazards where arm = 'control'

),

dose_days as (

    select * from {{ ref('int_dose_days') }}

),

-- days by the contacts of their week
by_event as (

    select
        'leave' as event, channel, engagement, arm, leave_days as days, leaves as events,
        least(contacts_7d, {{ var('fatigue_max_contacts') }}) as contacts_7d
    from dose_days
    where leave_days > 0

    union all

    select
        'click' as event, channel, engagement, arm, click_days as days, clicks as events,
        least(contacts_7d, {{ var('fatigue_max_contacts') }}) as contacts_7d
    from dose_days
    where click_days > 0

),

cells as (

    select event, channel, engagement, arm, contacts_7d, sum(days) as days, sum(events) as events
    from by_event
    group by event, channel, engagement, arm, contacts_7d

    union all

    select event, channel, 'all' as engagement, arm, contacts_7d, sum(days) as days, sum(events) as events
    from by_event
    group by event, channel, arm, contacts_7d

),

-- what the curve of the control arm says of the days of each arm: as its days with so many contacts, or the next fewer
read_off as (

    select
        cells.event,
        cells.channel,
        cells.engagement,
        cells.arm,
        cells.days,
        cast(curve.events as double) / curve.days as hazard
    from cells
    inner join cells as curve
        on
            cells.event = curve.event
            and cells.channel = curve.channel
            and cells.engagement = curve.engagement
            and curve.arm = 'control'
            and curve.contacts_7d <= cells.contacts_7d
    qualify
        row_number() over (
            partition by cells.event, cells.channel, cells.engagement, cells.arm, cells.contacts_7d
            order by curve.contacts_7d desc
        ) = 1

),

naive as (

    select event, channel, engagement, arm, sum(days * hazard) / sum(days) as hazard
    from read_off
    group by event, channel, engagement, arm

),

compared as (

    select
        hazards.*,
        case when hazards.arm <> 'control' then hazards.hazard - control.hazard end as difference,
        -- without an event, or with one on every day, nothing says how sure that is
        case
            when
                hazards.events > 0 and hazards.events < hazards.user_days
                and control.events > 0 and control.events < control.user_days
                then sqrt(power(hazards.standard_error, 2) + power(control.standard_error, 2))
        end as difference_error,
        case when hazards.arm <> 'control' then naive.hazard - control.hazard end as naive_difference
    from hazards
    left join control
        on
            hazards.event = control.event
            and hazards.channel = control.channel
            and hazards.engagement = control.engagement
    left join naive
        on
            hazards.event = naive.event
            and hazards.channel = naive.channel
            and hazards.engagement = naive.engagement
            and hazards.arm = naive.arm

)

select
    {{ as_of() }} as as_of,
    event,
    channel,
    engagement,
    arm,
    users,
    round(cast(contacts as double) / user_days, 6) as mean_contacts_7d,
    user_days,
    events,
    round(hazard, 9) as hazard,
    round({{ hazard_bound('low', 'events', 'user_days', 'standard_error') }}, 9) as hazard_low,
    round({{ hazard_bound('high', 'events', 'user_days', 'standard_error') }}, 9) as hazard_high,
    round(difference, 9) as difference,
    round(difference - {{ normal_95() }} * difference_error, 9) as difference_low,
    round(difference + {{ normal_95() }} * difference_error, 9) as difference_high,
    round(naive_difference, 9) as naive_difference
from compared
