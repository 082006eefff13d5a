-- One row per (cut_date, anonymous_id, user_id) of a device one of whose links only a late event tells of, as its links were known at the cut date; a row without a user where none was.

with

events as (

    {{ received_events() }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

late as (

    select * from {{ ref('int_backtest_late_events') }}

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

)

select
    late_devices.cut_date,
    late_devices.anonymous_id,
    links_then.user_id,
    links_then.linked_at,
    links_then.link_number,
    links_then.shared_from
from late_devices
left join links_then
    on late_devices.cut_date = links_then.cut_date and late_devices.anonymous_id = links_then.anonymous_id
