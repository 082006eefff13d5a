-- One row per (user_id, valid_from): the engagement segment on each date of the span, as of that date. Before a user's first span: never_seen.
{{ config(
    unique_key=['user_id', 'valid_from'],
    meta={'touched_by': 'touched_user_activity', 'touched_keys': ['user_id'], 'logic_version': 1,
          'fingerprint_vars': ['engagement_new_days', 'engagement_dormant_days']}
) }}
-- depends_on: {{ ref('touched_user_activity') }}

with

activity as (

    select * from {{ ref('int_user_activity_daily') }} as source
    {{ only_touched(['user_id'], ref('touched_user_activity')) }}

),

days as (

    select user_id, activity_date, known_date, visits, visits - continued_visits as begun
    from activity
    where visits <> 0 or continued_visits <> 0

),

restated_days as (

    select distinct user_id, activity_date from days where known_date > activity_date

),

-- visits of the day as they were known from the date on
changes as (

    select changes.user_id, changes.activity_date, changes.known_date, changes.begun, changes.visits
    {{ with_restated('days', false, 'restated_days') }}

    union all

    select
        changes.user_id,
        changes.activity_date,
        changes.known_date,
        changes.begun,
        cast(
            sum(changes.visits) over (partition by changes.user_id, changes.activity_date order by changes.known_date)
            as bigint
        ) as visits
    {{ with_restated('days', true, 'restated_days') }}

),

-- a link that becomes known later may take a day of visits away again: these few users are counted anew on each date
losers as (

    select distinct user_id from changes where visits <= 0

),

lost_days as (

    select
        changes.user_id,
        changes.activity_date,
        changes.known_date,
        changes.visits,
        lead(changes.known_date) over (
            partition by changes.user_id, changes.activity_date order by changes.known_date
        ) as known_until
    from changes
    inner join losers on changes.user_id = losers.user_id

),

first_and_last as (

    select
        known.user_id,
        known.known_date,
        min(days.activity_date) as first_date,
        max(days.activity_date) as last_date
    from (select distinct user_id, known_date from lost_days) as known
    left join lost_days as days
        on
            known.user_id = days.user_id
            and days.known_date <= known.known_date
            and coalesce(days.known_until, {{ end_of_time() }}) > known.known_date
            and days.visits > 0
    group by known.user_id, known.known_date

),

known as (

    select
        changes.user_id,
        changes.known_date,
        losers.user_id is not null as is_loser,
        sum(changes.begun) as begun,
        min(changes.activity_date) as first_date,
        max(changes.activity_date) as last_date
    from changes
    left join losers on changes.user_id = losers.user_id
    group by changes.user_id, changes.known_date, losers.user_id

),

running as (

    select
        user_id,
        known_date,
        is_loser,
        sum(begun) over so_far as visits,
        min(first_date) over so_far as first_date,
        max(last_date) over so_far as last_date,
        coalesce(lead(known_date) over (partition by user_id order by known_date), {{ end_of_time() }}) as known_until
    from known
    window so_far as (partition by user_id order by known_date)

),

states as (

    select
        running.user_id,
        running.known_date,
        running.known_until,
        running.visits,
        {{ add_days('case when running.is_loser then lost.first_date else running.first_date end', var('engagement_new_days') + 1) }} as new_until,
        {{ add_days('case when running.is_loser then lost.last_date else running.last_date end', var('engagement_dormant_days') + 1) }} as awake_until
    from running
    left join first_and_last as lost
        on running.user_id = lost.user_id and running.known_date = lost.known_date

),

pieces as (

    select user_id, 'never_seen' as segment, known_date as valid_from, known_until as valid_to
    from states
    where new_until is null

    union all

    select user_id, 'new' as segment, known_date as valid_from, least(known_until, new_until) as valid_to
    from states
    where new_until is not null

    union all

    select user_id, 'one_time' as segment, greatest(known_date, new_until) as valid_from, known_until as valid_to
    from states
    where visits = 1 and new_until is not null

    union all

    select
        user_id,
        'engaged' as segment,
        greatest(known_date, new_until) as valid_from,
        least(known_until, awake_until) as valid_to
    from states
    where visits <> 1 and new_until is not null

    union all

    select
        user_id,
        'dormant' as segment,
        greatest(known_date, new_until, awake_until) as valid_from,
        known_until as valid_to
    from states
    where visits <> 1 and new_until is not null

),

-- a piece begins a span where the one before it is of another segment
marked as (

    select
        user_id,
        segment,
        valid_from,
        valid_to,
        case
            when segment = lag(segment) over (partition by user_id order by valid_from) then 0 else 1
        end as is_first
    from pieces
    where valid_from < valid_to

),

numbered as (

    select
        user_id,
        segment,
        valid_from,
        valid_to,
        sum(is_first) over (partition by user_id order by valid_from) as span
    from marked

)

select
    user_id,
    segment,
    min(valid_from) as valid_from,
    max(valid_to) as valid_to
from numbered
group by user_id, segment, span
