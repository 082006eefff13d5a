-- One row per (event, channel or `all`, engagement or `all`, contacts_7d) that the arms of the dose test reach: the hazard on the line that they draw.
{{ config(database='build') }}

with

users as (

    select * from {{ ref('int_dose_users') }}

),

arms as (

    select
        event,
        channel,
        engagement,
        sum(days) as days,
        sum(events) as events,
        count(*) as users,
        cast(sum(events) as double) / sum(days) as hazard,
        cast(sum(contacts) as double) / sum(days) as contacts,
        sum(case when arm = 'low' then days end) as low_days,
        sum(case when arm = 'high' then days end) as high_days,
        cast(sum(case when arm = 'low' then events end) as double) / sum(case when arm = 'low' then days end) as low_hazard,
        cast(sum(case when arm = 'high' then events end) as double) / sum(case when arm = 'high' then days end) as high_hazard,
        cast(sum(case when arm = 'low' then contacts end) as double) / sum(case when arm = 'low' then days end) as low_contacts,
        cast(sum(case when arm = 'high' then contacts end) as double) / sum(case when arm = 'high' then days end) as high_contacts
    from users
    group by event, channel, engagement

),

-- a contact more adds so much: what the arms differ by in hazard, by what they differ by in contacts (Wald's estimator)
lines as (

    select
        *,
        (high_hazard - low_hazard) / (high_contacts - low_contacts) as slope
    from arms
    where high_contacts > low_contacts

),

-- what each user adds to the error of the mean hazard, of the mean contacts, of the slope, and of what the arms differ by
errors as (

    select
        users.event,
        users.channel,
        users.engagement,
        (users.events - lines.hazard * users.days) / lines.days as of_hazard,
        (users.contacts - lines.contacts * users.days) / lines.days as of_contacts,
        case users.arm
            when 'high' then (users.contacts - lines.high_contacts * users.days) / lines.high_days
            when 'low' then -(users.contacts - lines.low_contacts * users.days) / lines.low_days
            else 0
        end as of_dose,
        case users.arm
            when 'high' then (
                users.events - lines.high_hazard * users.days
                - lines.slope * (users.contacts - lines.high_contacts * users.days)
            ) / lines.high_days
            when 'low' then -(
                users.events - lines.low_hazard * users.days
                - lines.slope * (users.contacts - lines.low_contacts * users.days)
            ) / lines.low_days
            else 0
        end / (lines.high_contacts - lines.low_contacts) as of_slope
    from users
    inner join lines
        on users.event = lines.event and users.channel = lines.channel and users.engagement = lines.engagement

),

-- arms that hardly differ in contacts say nothing of what contacts do
strong as (

    select lines.event, lines.channel, lines.engagement
    from lines
    inner join errors
        on lines.event = errors.event and lines.channel = errors.channel and lines.engagement = errors.engagement
    group by lines.event, lines.channel, lines.engagement, lines.high_contacts, lines.low_contacts
    having
        (lines.high_contacts - lines.low_contacts) * (lines.high_contacts - lines.low_contacts)
        >= {{ var('dose_min_f') }} * sum(errors.of_dose * errors.of_dose)

),

points as (

    select lines.*, numbers.n as contacts_7d
    from lines
    inner join strong
        on lines.event = strong.event and lines.channel = strong.channel and lines.engagement = strong.engagement
    inner join {{ series(0, var('fatigue_max_contacts')) }} as numbers
        on numbers.n between floor(lines.low_contacts) and ceil(lines.high_contacts)

),

varied as (

    select
        points.event,
        points.channel,
        points.engagement,
        points.contacts_7d,
        points.days,
        points.users,
        points.events,
        points.hazard + points.slope * (points.contacts_7d - points.contacts) as hazard,
        sqrt(sum(power(
            errors.of_hazard + errors.of_slope * (points.contacts_7d - points.contacts) - points.slope * errors.of_contacts, 2
        ))) as standard_error
    from points
    inner join errors
        on points.event = errors.event and points.channel = errors.channel and points.engagement = errors.engagement
    group by
        points.event, points.channel, points.engagement, points.contacts_7d, points.days, points.users, points.events,
        points.hazard, points.slope, points.contacts

)

select
    event,
    channel,
    engagement,
    contacts_7d,
    days as user_days,
    users,
    events,
    hazard,
    hazard - {{ normal_95() }} * standard_error as hazard_low,
    hazard + {{ normal_95() }} * standard_error as hazard_high
from varied
