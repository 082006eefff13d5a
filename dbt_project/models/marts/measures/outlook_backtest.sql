-- One row per (cut_date, prediction, method): what the outlook said at the end of a month, and who was right. Users add up over predictions of a date alone.
with

predicted as (

    -- no visit is what was foretold
    select
        cut_date,
        'risky' as prediction,
        user_id,
        silence_score as score,
        silence_days as naive_score,
        is_overdue as is_flagged,
        not is_visitor_later as is_positive
    from {{ ref('int_backtest_users') }}
    where engagement = 'engaged'

    union all

    select
        cut_date,
        'promising' as prediction,
        user_id,
        lead_score as score,
        -silence_days as naive_score,
        is_promising as is_flagged,
        is_visitor_later as is_positive
    from {{ ref('int_backtest_users') }}
    where engagement in ('new', 'dormant')

),

-- the naive rule flags as many; of equal ones by user_id
ranked as (

    select
        *,
        sum(case when is_flagged then 1 else 0 end) over (partition by cut_date, prediction) as flagged,
        row_number() over (partition by cut_date, prediction order by naive_score desc, user_id) as naive_rank
    from predicted

),

by_method as (

    select cut_date, prediction, 'model' as method, score, is_flagged, is_positive from ranked

    union all

    select
        cut_date,
        prediction,
        'naive' as method,
        cast(naive_score as double) as score,
        naive_rank <= flagged as is_flagged,
        is_positive
    from ranked

),

scores as (

    select
        cut_date,
        prediction,
        method,
        score,
        count(*) as users,
        count(case when is_flagged then 1 end) as flagged,
        count(case when is_positive then 1 end) as positives,
        count(case when is_flagged and is_positive then 1 end) as true_positives
    from by_method
    group by cut_date, prediction, method, score

),

-- of pairs of a positive and a negative user, those in which the positive one has the greater score; equal ones are half a pair
paired as (

    select
        *,
        coalesce(sum(users - positives) over (
            partition by cut_date, prediction, method order by score rows between unbounded preceding and 1 preceding
        ), 0) as negatives_below
    from scores

),

counted as (

    select
        cut_date,
        prediction,
        method,
        cast(sum(users) as bigint) as users,
        cast(sum(flagged) as bigint) as flagged,
        cast(sum(positives) as bigint) as positives,
        cast(sum(true_positives) as bigint) as true_positives,
        sum(positives * (2 * negatives_below + users - positives)) as half_pairs_won
    from paired
    group by cut_date, prediction, method

)

select
    {{ as_of() }} as as_of,
    cut_date,
    prediction,
    method,
    users,
    flagged,
    positives,
    true_positives,
    round(cast(true_positives as double) / nullif(flagged, 0), 6) as {{ adapter.quote('precision') }},
    round(cast(true_positives as double) / nullif(positives, 0), 6) as recall,
    round(cast(half_pairs_won as double) / nullif(2 * cast(positives as double) * (users - positives), 0), 6) as auc
from counted
