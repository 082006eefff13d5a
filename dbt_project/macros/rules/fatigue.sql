{% macro days_at_risk(first_date, last_date, has_none=true) -%}
{#-
    The CTEs that say on which days from a date to another (expressions) somebody could leave a channel, or click on it
    for the first time, and with how many contacts in the week up to and including the day; `all`: on all channels together.

    Each contact adds one on its date and takes it away 7 days later, so that the sum is the same over spans of days, and
    no day has a row of its own. Most contacts have no other in the 7 days before and after: their span is known without
    a sum. A day counts where marketing could go to the channel at its start. The first event of a kind ends the risk of
    that kind; its own day counts the contacts sent before it. `has_none`: whether days without a contact in the week,
    after the first contact, are wanted.

    Ends in `at_risk`: user_id, channel, contacts, valid_from, valid_to, and where the risk of each kind ends: leave_to,
    click_to (a span without risk ends where it begins); is_leave and is_click say that its only day is that of the event.
-#}
contacts as (

    select user_id, channel, contact_date, sent_at
    from {{ ref('fct_contacts') }}
    where
        is_contact
        and contact_date > {{ add_days(as_of(), -(var('measures_days') + var('fatigue_days'))) }}
        and contact_date <= {{ last_date }}

),

contact_days as (

    select user_id, channel, contact_date, count(*) as contacts
    from contacts
    group by user_id, channel, contact_date

),

contact_days_and_all as (

    select user_id, channel, contact_date, contacts from contact_days

    union all

    select user_id, 'all' as channel, contact_date, sum(contacts) as contacts from contact_days group by user_id, contact_date

),

neighbours as (

    select
        user_id,
        channel,
        contact_date,
        {{ add_days('contact_date', var('fatigue_days')) }} as leaves_week,
        contacts,
        lag(contact_date) over (partition by user_id, channel order by contact_date) as last_date,
        lead(contact_date) over (partition by user_id, channel order by contact_date) as next_date
    from contact_days_and_all

),

signs as (

    select 1 as sign union all select -1 as sign

),

-- of contact days that share a week with another
changes as (

    select
        days.user_id,
        days.channel,
        case when signs.sign = 1 then days.contact_date else days.leaves_week end as change_date,
        signs.sign * days.contacts as change
    from neighbours as days
    cross join signs
    where
        {{ days_between('days.last_date', 'days.contact_date') }} < {{ var('fatigue_days') }}
        or days.next_date < days.leaves_week

),

change_dates as (

    -- what happened before the first date is what that date begins with
    select user_id, channel, greatest(change_date, {{ first_date }}) as change_date, change
    from changes
    where change_date <= {{ last_date }}

),

sums as (

    -- of several changes on a date, each knows the sum of all, and all but one end where they begin
    select
        user_id,
        channel,
        cast(sum(change) over (partition by user_id, channel order by change_date) as integer) as contacts,
        change_date as valid_from,
        coalesce(
            lead(change_date) over (partition by user_id, channel order by change_date), {{ add_days(last_date, 1) }}
        ) as valid_to
    from change_dates

),

levels as (

    select user_id, channel, contacts, valid_from, valid_to from sums where contacts > 0

    union all

    -- a contact day that is alone in its weeks needs no sum
    select
        user_id,
        channel,
        cast(contacts as integer) as contacts,
        greatest(contact_date, {{ first_date }}) as valid_from,
        least(leaves_week, {{ add_days(last_date, 1) }}) as valid_to
    from neighbours
    where
        coalesce({{ days_between('last_date', 'contact_date') }} >= {{ var('fatigue_days') }}, true)
        and coalesce(next_date >= leaves_week, true)

    {%- if has_none %}

    union all

    select
        user_id,
        channel,
        0 as contacts,
        greatest(leaves_week, {{ first_date }}) as valid_from,
        coalesce(next_date, {{ add_days(last_date, 1) }}) as valid_to
    from neighbours
    where coalesce(next_date > leaves_week, true)
    {%- endif %}

),

-- messages with an event that ends a risk
answered as (

    select message_id, user_id, channel, is_contact
    from {{ ref('fct_contacts') }}
    where is_unsubscribed or is_complained or (is_clicked and is_contact)

),

event_times as (

    select answered.user_id, answered.channel, 'leave' as event, events.occurred_at, events.event_date
    from {{ ref('int_message_events__classified') }} as events
    inner join answered on events.message_id = answered.message_id
    where
        (events.is_unsubscribed or events.is_complained)
        and events.event_date >= {{ first_date }}
        and events.event_date <= {{ last_date }}

    union all

    select answered.user_id, answered.channel, 'click' as event, events.occurred_at, events.event_date
    from {{ ref('int_message_events__classified') }} as events
    inner join answered on events.message_id = answered.message_id and answered.is_contact
    where events.is_click and events.event_date >= {{ first_date }} and events.event_date <= {{ last_date }}

),

first_events as (

    select user_id, channel, event, min(occurred_at) as occurred_at, min(event_date) as event_date
    from event_times
    group by user_id, channel, event

    union all

    select user_id, 'all' as channel, event, min(occurred_at) as occurred_at, min(event_date) as event_date
    from event_times
    group by user_id, event

),

-- contacts of the week that were sent before the event
before_events as (

    select first_events.user_id, first_events.channel, first_events.event, cast(count(*) as integer) as contacts
    from first_events
    inner join contacts on first_events.user_id = contacts.user_id
    where
        first_events.channel in (contacts.channel, 'all')
        and contacts.sent_at <= first_events.occurred_at
        and {{ days_between('contacts.contact_date', 'first_events.event_date') }} < {{ var('fatigue_days') }}
    group by first_events.user_id, first_events.channel, first_events.event

),

event_days as (

    select
        first_events.user_id,
        first_events.channel,
        first_events.event,
        first_events.event_date,
        coalesce(before_events.contacts, 0) as contacts
    from first_events
    left join before_events
        on
            first_events.user_id = before_events.user_id
            and first_events.channel = before_events.channel
            and first_events.event = before_events.event

),

ends as (

    select
        user_id,
        channel,
        max(case when event = 'leave' then event_date end) as leave_date,
        max(case when event = 'click' then event_date end) as click_date
    from first_events
    group by user_id, channel

),

reachable as (

    select * from {{ ref('int_reachable_spans') }} where valid_to > {{ first_date }} and valid_from <= {{ last_date }}

),

at_risk as (

    select
        levels.user_id,
        levels.channel,
        levels.contacts,
        greatest(levels.valid_from, reachable.valid_from) as valid_from,
        least(levels.valid_to, reachable.valid_to) as valid_to,
        least(levels.valid_to, reachable.valid_to, coalesce(ends.leave_date, {{ end_of_time() }})) as leave_to,
        least(levels.valid_to, reachable.valid_to, coalesce(ends.click_date, {{ end_of_time() }})) as click_to,
        false as is_leave,
        false as is_click
    from levels
    inner join reachable
        on
            levels.user_id = reachable.user_id
            and levels.channel = reachable.channel
            and levels.valid_from < reachable.valid_to
            and reachable.valid_from < levels.valid_to
            and levels.valid_from < levels.valid_to
    left join ends on levels.user_id = ends.user_id and levels.channel = ends.channel

    union all

    select
        event_days.user_id,
        event_days.channel,
        event_days.contacts,
        event_days.event_date as valid_from,
        {{ add_days('event_days.event_date', 1) }} as valid_to,
        case
            when event_days.event = 'leave' then {{ add_days('event_days.event_date', 1) }} else event_days.event_date
        end as leave_to,
        case
            when event_days.event = 'click' then {{ add_days('event_days.event_date', 1) }} else event_days.event_date
        end as click_to,
        event_days.event = 'leave' as is_leave,
        event_days.event = 'click' as is_click
    from event_days
    inner join reachable
        on
            event_days.user_id = reachable.user_id
            and event_days.channel = reachable.channel
            and event_days.event_date >= reachable.valid_from
            and event_days.event_date < reachable.valid_to

)
{%- endmacro %}


{% macro days_in(until, valid_from) -%}
    {#- Days of a span up to a date, none where it ends before it begins. -#}
    greatest({{ days_between(valid_from, until) }}, 0)
{%- endmacro %}


{% macro normal_95() -%}
    {#- The 97.5 % quantile of the normal distribution: what a 95 % interval reaches to on each side, in standard errors. -#}
    1.959963984540054
{%- endmacro %}


{% macro hazard_bound(side, events, days, standard_error) -%}
    {#-
        A bound of the 95 % interval of events / days: on the scale of log odds, as a logistic regression has it, with the
        standard error given. Where that has none (no event, an event on each day, one user): Wilson's, of the days.
    -#}
    {%- set z = normal_95() -%}
    {%- set sign = '-' if side == 'low' else '+' -%}
    case
        when {{ events }} > 0 and {{ events }} < {{ days }} and {{ standard_error }} > 0
            then 1 / (1 + exp(-(
                ln(cast({{ events }} as double) / ({{ days }} - {{ events }}))
                {{ sign }} {{ z }} * {{ standard_error }}
                / (cast({{ events }} as double) / {{ days }} * (1 - cast({{ events }} as double) / {{ days }}))
            )))
        else least(greatest((
            {{ events }} + {{ z }} * {{ z }} / 2
            {{ sign }} {{ z }} * sqrt(
                cast({{ events }} as double) * ({{ days }} - {{ events }}) / {{ days }} + {{ z }} * {{ z }} / 4
            )
        ) / ({{ days }} + {{ z }} * {{ z }}), 0), 1)
    end
{%- endmacro %}


{% macro products_by_user() -%}
    {#- Of rows a user with days and events: the sums of products that the error needs. -#}
    sum(cast(days as double) * days) as days_by_days,
        sum(cast(days as double) * events) as days_by_events,
        sum(cast(events as double) * events) as events_by_events
{%- endmacro %}


{% macro clustered_error(events, days, users) -%}
    {#-
        The standard error of events / days, clustered by user, from products_by_user(); null of one user.
    -#}
    sqrt(greatest(
        events_by_events
        - 2 * cast({{ events }} as double) / {{ days }} * days_by_events
        + power(cast({{ events }} as double) / {{ days }}, 2) * days_by_days,
        0
    ) * {{ users }} / nullif({{ users }} - 1, 0)) / {{ days }}
{%- endmacro %}
