-- One row per (cut_date, user_id, activity_date) that the rollups can't tell of as it was known at the end of the cut date, or that is the day before one.

with

events as (

    {{ received_events() }}

),

links as (

    select * from {{ ref('int_identity_links') }}

),

last_orders as (

    select * from {{ ref('int_backtest_orders') }}

),

late as (

    select * from {{ ref('int_backtest_late_events') }}

),

links_then as (

    select * from {{ ref('int_backtest_links') }}

),

late_devices as (

    select distinct cut_date, anonymous_id from links_then

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

)

select cut_date, user_id, activity_date, bool_or(is_touched) as is_touched
from (
    select cut_date, user_id, activity_date, true as is_touched from touched_days

    union all

    select cut_date, user_id, {{ add_days('activity_date', -1) }} as activity_date, false as is_touched from touched_days
) as days
group by cut_date, user_id, activity_date
