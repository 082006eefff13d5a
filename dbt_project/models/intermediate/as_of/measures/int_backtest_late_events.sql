-- One row per (cut_date, event) of a date up to the cut date that was received after it; they are few.

with

cuts as (

    select cut_date from {{ ref('int_backtest_cuts') }}

),

events as (

    {{ received_events() }}

)

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
