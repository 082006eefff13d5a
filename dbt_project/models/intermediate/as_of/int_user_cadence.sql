-- One row per user with a visit as of the date: the gaps between visit-days, the gap to expect, and whether the silence is long for this user.
{{ config(database='build') }}

with

activity as (

    -- gaps between consecutive dates add up to the time from the first to the last
    select
        user_id,
        {{ age('last_visit_date') }} as silence_days,
        greatest(visit_days_in_window - 1, 0) as gaps,
        case when visit_days_in_window > 0 then {{ days_between('first_visit_date_in_window', 'last_visit_date') }} else 0 end as gap_days
    from {{ ref('int_user_activity') }}

),

everybody as (

    -- the mean gap as a fraction of whole numbers, so that comparisons are exact
    select
        case when coalesce(sum(gaps), 0) > 0 then sum(gap_days) else {{ var('outlook_default_gap_days') }} end as gap_days,
        case when coalesce(sum(gaps), 0) > 0 then sum(gaps) else 1 end as gaps
    from activity

),

expected as (

    select
        activity.user_id,
        activity.silence_days,
        activity.gaps,
        activity.gap_days,
        activity.gap_days * everybody.gaps + {{ var('outlook_prior_gaps') }} * everybody.gap_days as expected_numerator,
        (activity.gaps + {{ var('outlook_prior_gaps') }}) * everybody.gaps as expected_denominator
    from activity
    cross join everybody

)

select
    user_id,
    silence_days,
    cast(gaps as integer) as gaps,
    cast(gap_days as integer) as gap_days,
    round(cast(expected_numerator as double) / cast(expected_denominator as double), 6) as expected_gap_days,
    silence_days * expected_denominator >= {{ var('outlook_risky_factor') }} * expected_numerator as is_overdue
from expected
