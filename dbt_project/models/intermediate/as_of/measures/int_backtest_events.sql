-- One row per (cut_date, event) of a needed day that had been received by the cut date, with the user that it belonged to then.
{#-
    Read twice, and no CTE: kept, it would be every event there is. A bound of their time by the first needed day would
    skip few rows, and make the engine think that next to no events are left, so that it keeps them all for the join.
#}
{%- set events = '(' ~ received_events() ~ ') as events' %}
with

links as (

    select * from {{ ref('int_identity_links') }}

),

needed_days as (

    select * from {{ ref('int_backtest_needed_days') }}

),

links_then as (

    select * from {{ ref('int_backtest_links') }}

),

late_devices as (

    select distinct cut_date, anonymous_id from links_then

),

needed_users as (

    select distinct cut_date, user_id from needed_days

),

owners as (

    select needed_users.cut_date, links.anonymous_id, links.user_id, links.linked_at, links.shared_from
    from links
    inner join needed_users on links.user_id = needed_users.user_id
    where
        links.link_number = 1
        and links.linked_date <= needed_users.cut_date
        and not exists (
            select 1 from late_devices
            where late_devices.cut_date = needed_users.cut_date and late_devices.anonymous_id = links.anonymous_id
        )

    union all

    select cut_date, anonymous_id, user_id, linked_at, shared_from from links_then where link_number = 1

),

-- distinct as they are: saying so keeps the dates from being joined to events without their device
owned_days as (

    select distinct
        owners.cut_date,
        owners.anonymous_id,
        owners.user_id,
        owners.linked_at,
        owners.shared_from,
        needed_days.activity_date
    from owners
    inner join needed_days
        on owners.cut_date = needed_days.cut_date and owners.user_id = needed_days.user_id

)

select needed_days.cut_date, events.user_id, events.activity_date, events.occurred_at, events.session_id, events.event_name
from {{ events }}
inner join needed_days
    on events.user_id = needed_days.user_id and events.activity_date = needed_days.activity_date
where events.received_date <= needed_days.cut_date

union all

select
    owned_days.cut_date,
    owned_days.user_id,
    events.activity_date,
    events.occurred_at,
    events.session_id,
    events.event_name
from {{ events }}
inner join owned_days
    on
        events.anonymous_id = owned_days.anonymous_id
        and events.activity_date = owned_days.activity_date
where
    events.user_id is null
    and events.received_date <= owned_days.cut_date
    and (owned_days.shared_from is null or events.occurred_at < owned_days.shared_from)
    {%- if var('link_back_days') is not none %}
    and events.occurred_at >= owned_days.linked_at - interval '{{ var("link_back_days") }}' day
    {%- endif %}
