-- One row per (cut_date, user_id, activity_date) that the rollups can't tell of as it was known at the end of the cut date: some of it was received later, or it is the day of the last order.
{{ config(database='build') }}
{#- In any business time zone; what lets a scan skip older rows. #}
{%- set is_of_a_needed_day = 'events.occurred_at >= (select cast(' ~ add_days('min(activity_date)', -1) ~ ' as timestamp) from needed_days)' %}

with

cuts as (

    select cut_date from {{ ref('int_backtest_cuts') }}

),

events as (

    select
        user_id,
        anonymous_id,
        activity_date,
        occurred_at,
        session_id,
        event_name,
        received_at,
        coalesce(
            {{ business_date('received_at') }}, {{ add_days('activity_date', var('assumed_delay_days')) }}
        ) as received_date
    from {{ ref('stg_events') }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

last_orders as (

    select * from {{ ref('int_backtest_orders') }}

),

-- few: events of a date up to the cut that came after it
late as (

    select cuts.cut_date, late.user_id, late.anonymous_id, late.activity_date, late.occurred_at
    from (
        select * from events
        where
            -- follows from the next but one, and spares old rows the time zone
            (received_at is null or received_at >= (select cast(min(cut_date) as timestamp) from cuts))
            and received_date > activity_date
            and received_date > (select min(cut_date) from cuts)
            and activity_date <= (select max(cut_date) from cuts)
    ) as late
    cross join cuts
    where late.activity_date <= cuts.cut_date and late.received_date > cuts.cut_date

),

-- devices one of whose links only a late event tells of: their links as they were known
late_devices as (

    select distinct late.cut_date, late.anonymous_id
    from late
    inner join links
        on
            late.anonymous_id = links.anonymous_id
            and late.user_id = links.user_id
            and late.occurred_at = links.linked_at

),

links_received as (

    select
        late_devices.cut_date,
        identities.anonymous_id,
        identities.user_id,
        coalesce(identities.linked_at, timestamp '0001-01-01 00:00:00') as linked_at
    from {{ ref('stg_identities') }} as identities
    inner join late_devices on identities.anonymous_id = late_devices.anonymous_id
    where coalesce({{ business_date('identities.linked_at') }}, {{ start_of_time() }}) <= late_devices.cut_date

    union all

    select late_devices.cut_date, events.anonymous_id, events.user_id, events.occurred_at as linked_at
    from events
    inner join late_devices on events.anonymous_id = late_devices.anonymous_id
    where
        events.user_id is not null
        and events.activity_date <= late_devices.cut_date
        and events.received_date <= late_devices.cut_date

),

links_numbered as (

    select
        *,
        row_number() over (partition by cut_date, anonymous_id order by linked_at, user_id) as link_number
    from (
        select cut_date, anonymous_id, user_id, min(linked_at) as linked_at
        from links_received
        group by cut_date, anonymous_id, user_id
    ) as first_links

),

links_then as (

    select
        *,
        min(case when link_number = {{ var('max_users_per_device') }} + 1 then linked_at end)
            over (partition by cut_date, anonymous_id) as shared_from
    from links_numbered

),

device_days as (

    select distinct late_devices.cut_date, events.anonymous_id, events.activity_date
    from events
    inner join late_devices on events.anonymous_id = late_devices.anonymous_id
    where events.user_id is null and events.activity_date <= late_devices.cut_date

),

touched as (

    select cut_date, user_id, activity_date from late where user_id is not null

    union

    select late.cut_date, links.user_id, late.activity_date
    from late
    inner join links on late.anonymous_id = links.anonymous_id and links.link_number = 1
    where late.user_id is null

    union

    -- days of a device whose owner was not known, or was another
    select device_days.cut_date, links.user_id, device_days.activity_date
    from device_days
    inner join links on device_days.anonymous_id = links.anonymous_id and links.link_number = 1

    union

    select device_days.cut_date, links_then.user_id, device_days.activity_date
    from device_days
    inner join links_then
        on
            device_days.cut_date = links_then.cut_date
            and device_days.anonymous_id = links_then.anonymous_id
            and links_then.link_number = 1

),

-- the first visit of the day after may go on with what came late
touched_days as (

    select cut_date, user_id, activity_date from touched

    union

    select cut_date, user_id, {{ add_days('activity_date', 1) }} as activity_date
    from touched
    where activity_date < cut_date

    union

    -- of the day of the last order only what came after it makes a lead
    select cut_date, user_id, last_order_date as activity_date from last_orders

),

needed_days as (

    select cut_date, user_id, activity_date from touched_days

    union

    select cut_date, user_id, {{ add_days('activity_date', -1) }} as activity_date from touched_days

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

-- what had been received of these days, with the user that it belonged to then
credited as (

    select needed_days.cut_date, events.user_id, events.activity_date, events.occurred_at, events.session_id, events.event_name
    from events
    inner join needed_days
        on events.user_id = needed_days.user_id and events.activity_date = needed_days.activity_date
    where events.received_date <= needed_days.cut_date and {{ is_of_a_needed_day }}

    union all

    select owners.cut_date, owners.user_id, events.activity_date, events.occurred_at, events.session_id, events.event_name
    from events
    inner join owners on events.anonymous_id = owners.anonymous_id
    inner join needed_days
        on
            owners.cut_date = needed_days.cut_date
            and owners.user_id = needed_days.user_id
            and events.activity_date = needed_days.activity_date
    where
        events.user_id is null
        and {{ is_of_a_needed_day }}
        and events.received_date <= owners.cut_date
        and (owners.shared_from is null or events.occurred_at < owners.shared_from)
        {%- if var('link_back_days') is not none %}
        and events.occurred_at >= owners.linked_at - interval '{{ var("link_back_days") }}' day
        {%- endif %}

),

classified as (

    select
        credited.*,
        taxonomy.class as event_class,
        coalesce(taxonomy.is_visit, false) as is_visit,
        coalesce(taxonomy.intent_weight, 0) as intent_weight
    from credited
    left join {{ ref('event_taxonomy') }} as taxonomy on lower(credited.event_name) = lower(taxonomy.event)

),

states as (

    select user_id, activity_date, cut_date as state_date, occurred_at, session_id
    from classified
    where is_visit

),

{{ visit_ctes() }},

visit_days as (

    select visits.user_id, visits.activity_date, visits.state_date, count(*) as visits
    from visits
    group by visits.user_id, visits.activity_date, visits.state_date

),

event_days as (

    select
        classified.cut_date,
        classified.user_id,
        classified.activity_date,
        count(case when classified.event_class = 'cart_add' then 1 end) as cart_adds,
        count(case when classified.event_class = 'product_view' then 1 end) as product_views,
        sum(
            case when last_orders.user_id is null or classified.occurred_at > last_orders.last_ordered_at then classified.intent_weight end
        ) as intent
    from classified
    left join last_orders
        on classified.cut_date = last_orders.cut_date and classified.user_id = last_orders.user_id
    group by classified.cut_date, classified.user_id, classified.activity_date

)

select
    touched_days.cut_date,
    touched_days.user_id,
    touched_days.activity_date,
    cast(coalesce(visit_days.visits, 0) as bigint) as visits,
    cast(coalesce(visit_days.visits, 0) - case when coalesce(continued.is_continued, false) then 1 else 0 end as bigint) as visits_begun,
    cast(coalesce(event_days.cart_adds, 0) as bigint) as cart_adds,
    cast(coalesce(event_days.product_views, 0) as bigint) as product_views,
    -- of what came after the last order
    cast(coalesce(event_days.intent, 0) as decimal(18, 3)) as intent
from touched_days
left join visit_days
    on
        touched_days.cut_date = visit_days.state_date
        and touched_days.user_id = visit_days.user_id
        and touched_days.activity_date = visit_days.activity_date
left join continued
    on
        touched_days.cut_date = continued.state_date
        and touched_days.user_id = continued.user_id
        and touched_days.activity_date = continued.activity_date
left join event_days
    on
        touched_days.cut_date = event_days.cut_date
        and touched_days.user_id = event_days.user_id
        and touched_days.activity_date = event_days.activity_date
