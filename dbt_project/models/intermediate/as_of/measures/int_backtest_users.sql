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

changes as (

    select
        cuts.cut_date,
        activity.user_id,
        activity.activity_date,
        activity.visits,
        activity.visits - activity.continued_visits as visits_begun,
        activity.cart_adds,
        activity.product_views,
        activity.intent
    from {{ ref('int_user_activity_daily') }} as activity
    cross join cuts
    where activity.known_date <= cuts.cut_date

),

rollup_days as (

    select changes.* {{ with_restated('changes', false) }}

    union all

    select
        changes.cut_date,
        changes.user_id,
        changes.activity_date,
        cast(sum(visits) as bigint) as visits,
        cast(sum(visits_begun) as bigint) as visits_begun,
        cast(sum(cart_adds) as bigint) as cart_adds,
        cast(sum(product_views) as bigint) as product_views,
        cast(sum(intent) as decimal(18, 3)) as intent
    {{ with_restated('changes', true) }}
    group by changes.cut_date, changes.user_id, changes.activity_date

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

aged as (

    select
        days.*,
        {{ days_between('days.activity_date', 'days.cut_date') }} as age_days,
        last_orders.user_id is null or days.activity_date >= last_orders.last_order_date as is_after_order
    from days
    left join last_orders on days.cut_date = last_orders.cut_date and days.user_id = last_orders.user_id

),

visitors as (

    select
        aged.cut_date,
        aged.user_id,
        min(case when aged.visits > 0 then aged.age_days end) as silence_days,
        max(case when aged.visits > 0 then aged.age_days end) as first_visit_age,
        sum(aged.visits_begun) as visits,
        count(case when aged.visits > 0 then 1 end) as visit_days,
        count(case when aged.visits > 0 and aged.age_days < {{ var('outlook_gap_window_days') }} then 1 end) as window_days,
        max(case when aged.visits > 0 and aged.age_days < {{ var('outlook_gap_window_days') }} then aged.age_days end) as window_age,
        sum(aged.cart_adds) as cart_adds,
        sum(aged.product_views) as product_views,
        round(cast(coalesce(sum(
            case
                when aged.is_after_order and aged.age_days < {{ var('lead_days') }}
                    then cast(aged.intent as decimal(18, 3)) * factors.factor
            end
        ), 0) as double), 6) as lead_score
    from aged
    left join {{ ref('decay_factors') }} as factors on aged.age_days = factors.age_days
    group by aged.cut_date, aged.user_id
    having sum(aged.visits) > 0

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
    expected.lead_score,
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
left join reacted on expected.cut_date = reacted.cut_date and expected.user_id = reacted.user_id
left join came on expected.cut_date = came.cut_date and expected.user_id = came.user_id
