-- One row per (cut_date, user_id) with a visit by then: what the outlook would have said from what was received by the end of the cut date, and who came in the days after.
{{ config(database='build') }}

with

cuts as (

    select
        cut_date,
        {{ add_days('cut_date', var('backtest_truth_days')) }} as truth_until,
        {{ add_days('cut_date', -var('assumed_delay_days')) }} as seen_until
    from {{ ref('int_backtest_cuts') }}

),

late_days as (

    select * from {{ ref('int_backtest_late_days') }}

),

last_orders as (

    select * from {{ ref('int_backtest_orders') }}

),

-- up to here a day counts for one cut date and not for the next, or lies before its window
limits as (

    select cut_date as last_date from cuts

    union

    select {{ add_days('cut_date', -var('outlook_gap_window_days')) }} as last_date from cuts

),

-- days of which the rollups have several rows, or another for some cut date: they are counted for each anew
recounted_days as (

    select user_id, activity_date from {{ ref('int_restated_days') }}

    union

    select user_id, activity_date from late_days

),

activity as (

    select
        user_id,
        activity_date,
        known_date,
        visits,
        visits - continued_visits as visits_begun,
        cart_adds,
        product_views,
        intent
    from {{ ref('int_user_activity_daily') }}
    where activity_date <= (select max(cut_date) from cuts)

),

plain_days as (

    select changes.* {{ with_restated('activity', false, 'recounted_days') }}

),

rollup_days as (

    select
        cuts.cut_date,
        changes.user_id,
        changes.activity_date,
        cast(sum(changes.visits) as bigint) as visits,
        cast(sum(changes.visits_begun) as bigint) as visits_begun,
        cast(sum(changes.cart_adds) as bigint) as cart_adds,
        cast(sum(changes.product_views) as bigint) as product_views,
        cast(sum(changes.intent) as decimal(18, 3)) as intent
    from (select changes.* {{ with_restated('activity', true, 'recounted_days') }}) as changes
    inner join cuts on changes.known_date <= cuts.cut_date
    group by cuts.cut_date, changes.user_id, changes.activity_date

),

days as (

    select
        rollup_days.cut_date,
        rollup_days.user_id,
        rollup_days.activity_date,
        rollup_days.visits,
        rollup_days.visits_begun,
        rollup_days.cart_adds,
        rollup_days.product_views,
        rollup_days.intent
    from rollup_days
    left join late_days
        on
            rollup_days.cut_date = late_days.cut_date
            and rollup_days.user_id = late_days.user_id
            and rollup_days.activity_date = late_days.activity_date
    where late_days.cut_date is null

    union all

    select cut_date, user_id, activity_date, visits, visits_begun, cart_adds, product_views, intent from late_days

),

limits_of_dates as (

    select dates.activity_date, min(limits.last_date) as last_date
    from (select distinct activity_date from activity) as dates
    inner join limits on dates.activity_date <= limits.last_date
    group by dates.activity_date

),

-- plain days between two limits count for the same cut dates: one row a user
sums as (

    select
        plain_days.user_id,
        limits_of_dates.last_date,
        min(case when plain_days.visits > 0 then plain_days.activity_date end) as first_visit_date,
        max(case when plain_days.visits > 0 then plain_days.activity_date end) as last_visit_date,
        sum(plain_days.visits_begun) as visits,
        count(case when plain_days.visits > 0 then 1 end) as visit_days,
        sum(plain_days.cart_adds) as cart_adds,
        sum(plain_days.product_views) as product_views
    from plain_days
    inner join limits_of_dates on plain_days.activity_date = limits_of_dates.activity_date
    group by plain_days.user_id, limits_of_dates.last_date

),

sums_and_days as (

    select
        cuts.cut_date,
        sums.user_id,
        sums.last_date > {{ add_days('cuts.cut_date', -var('outlook_gap_window_days')) }} as is_in_window,
        sums.first_visit_date,
        sums.last_visit_date,
        sums.visits,
        sums.visit_days,
        sums.cart_adds,
        sums.product_views
    from sums
    inner join cuts on sums.last_date <= cuts.cut_date

    union all

    select
        cut_date,
        user_id,
        activity_date > {{ add_days('cut_date', -var('outlook_gap_window_days')) }} as is_in_window,
        case when visits > 0 then activity_date end as first_visit_date,
        case when visits > 0 then activity_date end as last_visit_date,
        visits_begun as visits,
        case when visits > 0 then 1 else 0 end as visit_days,
        cart_adds,
        product_views
    from days

),

visitors as (

    select
        cut_date,
        user_id,
        {{ days_between('max(last_visit_date)', 'cut_date') }} as silence_days,
        {{ days_between('min(first_visit_date)', 'cut_date') }} as first_visit_age,
        sum(visits) as visits,
        sum(visit_days) as visit_days,
        sum(case when is_in_window then visit_days else 0 end) as window_days,
        {{ days_between('min(case when is_in_window then first_visit_date end)', 'cut_date') }} as window_age,
        sum(cart_adds) as cart_adds,
        sum(product_views) as product_views
    from sums_and_days
    group by cut_date, user_id
    having max(last_visit_date) is not null

),

lead_days as (

    select cuts.cut_date, plain_days.user_id, plain_days.activity_date, plain_days.intent
    from plain_days
    inner join cuts
        on
            plain_days.activity_date <= cuts.cut_date
            and plain_days.activity_date > {{ add_days('cuts.cut_date', -var('lead_days')) }}
    where plain_days.activity_date > (select {{ add_days('min(cut_date)', -var('lead_days')) }} from cuts)

    union all

    select cut_date, user_id, activity_date, intent
    from days
    where activity_date > {{ add_days('cut_date', -var('lead_days')) }}

),

leads as (

    select
        lead_days.cut_date,
        lead_days.user_id,
        round(cast(coalesce(sum(cast(lead_days.intent as decimal(18, 3)) * factors.factor), 0) as double), 6) as lead_score
    from lead_days
    inner join {{ ref('decay_factors') }} as factors
        on {{ days_between('lead_days.activity_date', 'lead_days.cut_date') }} = factors.age_days
    left join last_orders on lead_days.cut_date = last_orders.cut_date and lead_days.user_id = last_orders.user_id
    where last_orders.user_id is null or lead_days.activity_date >= last_orders.last_order_date
    group by lead_days.cut_date, lead_days.user_id

),

gaps as (

    select
        *,
        greatest(window_days - 1, 0) as gaps,
        case when window_days > 0 then window_age - silence_days else 0 end as gap_days
    from visitors

),

-- the mean gap of everybody as of the cut date, as a fraction of whole numbers
everybody as (

    select
        cut_date,
        case when sum(gaps) > 0 then sum(gap_days) else {{ var('outlook_default_gap_days') }} end as gap_days,
        case when sum(gaps) > 0 then sum(gaps) else 1 end as gaps
    from gaps
    group by cut_date

),

expected as (

    select
        gaps.*,
        {{ engagement_segment('gaps.first_visit_age', 'gaps.visits', 'gaps.silence_days') }} as engagement,
        gaps.gap_days * everybody.gaps + {{ var('outlook_prior_gaps') }} * everybody.gap_days as expected_numerator,
        (gaps.gaps + {{ var('outlook_prior_gaps') }}) * everybody.gaps as expected_denominator
    from gaps
    inner join everybody on gaps.cut_date = everybody.cut_date

),

reactions as (

    select messages.user_id, events.event_date, greatest(events.event_date, messages.contact_date) as seen_date
    from {{ ref('int_message_events__classified') }} as events
    inner join {{ ref('stg_messages') }} as messages on events.message_id = messages.message_id
    inner join {{ ref('channels') }} as channels on messages.channel = channels.channel
    where
        events.is_reaction
        and events.event_date > (select {{ add_days('min(cut_date)', -var('outlook_reaction_days')) }} from cuts)
        and events.event_date <= (select max(seen_until) from cuts)

),

reacted as (

    select distinct cuts.cut_date, reactions.user_id
    from reactions
    cross join cuts
    where
        reactions.seen_date <= cuts.seen_until
        and {{ days_between('reactions.event_date', 'cuts.cut_date') }} < {{ var('outlook_reaction_days') }}

),

-- the truth: visits of the days after, by all that is known now
later_days as (

    select cuts.cut_date, activity.user_id, activity.activity_date
    from {{ ref('int_user_activity_daily') }} as activity
    cross join cuts
    where
        activity.known_date <= {{ as_of() }}
        and activity.activity_date > (select min(cut_date) from cuts)
        and activity.activity_date > cuts.cut_date
        and activity.activity_date <= cuts.truth_until
    group by cuts.cut_date, activity.user_id, activity.activity_date
    having sum(activity.visits) > 0

),

came as (

    select distinct cut_date, user_id from later_days

)

select
    expected.cut_date,
    expected.user_id,
    expected.engagement,
    expected.silence_days,
    round(cast(expected.expected_numerator as double) / cast(expected.expected_denominator as double), 6) as expected_gap_days,
    -- silence in expected gaps: what the outlook calls a risk from outlook_risky_factor on
    round(
        cast(expected.silence_days * expected.expected_denominator as double) / cast(expected.expected_numerator as double), 9
    ) as silence_score,
    expected.silence_days * expected.expected_denominator
    >= {{ var('outlook_risky_factor') }} * expected.expected_numerator as is_overdue,
    coalesce(leads.lead_score, 0) as lead_score,
    (
        expected.engagement = 'new'
        and (
            expected.visit_days >= {{ var('outlook_promising_visit_days') }}
            or expected.cart_adds >= {{ var('outlook_promising_cart_adds') }}
            or expected.product_views >= {{ var('outlook_promising_product_views') }}
        )
    )
    or (expected.engagement = 'dormant' and reacted.user_id is not null) as is_promising,
    came.user_id is not null as is_visitor_later
from expected
left join leads on expected.cut_date = leads.cut_date and expected.user_id = leads.user_id
left join reacted on expected.cut_date = reacted.cut_date and expected.user_id = reacted.user_id
left join came on expected.cut_date = came.cut_date and expected.user_id = came.user_id
