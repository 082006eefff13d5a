-- One row per known user: the state of the subscription that needs care most.
with

users as (

    select * from {{ ref('int_known_users') }}

),

activity as (

    select * from {{ ref('int_user_activity') }}

),

subscriptions as (

    select
        *,
        {{ days_between(as_of(), 'renews_date') }} as days_ahead,
        ended_date is not null and ended_date <= {{ as_of() }} as is_ended,
        coalesce(not auto_renew, false) or coalesce(cancel_requested_date <= {{ as_of() }}, false) as is_leaving
    from {{ ref('stg_subscriptions') }}
    where {{ known_on(as_of()) }} and started_date <= {{ as_of() }}

),

judged as (

    select
        subscriptions.user_id,
        subscriptions.is_ended,
        not subscriptions.is_ended
        and (
            (
                subscriptions.days_ahead between 0 and {{ var('subscription_risk_days') }}
                and subscriptions.is_leaving
            )
            or (
                subscriptions.days_ahead between 0 and {{ var('subscription_decline_ahead_days') }}
                and activity.visits_before >= {{ var('subscription_decline_min_visits') }}
                and activity.visits_lately <= {{ var('subscription_decline_share') }} * activity.visits_before
            )
        ) as is_at_risk
    from subscriptions
    left join activity on subscriptions.user_id = activity.user_id

),

worst as (

    select user_id, bool_or(is_at_risk) as is_at_risk, bool_or(not is_ended) as is_active
    from judged
    group by user_id

)

select
    users.user_id,
    case
        when worst.user_id is null then 'none'
        when worst.is_at_risk then 'renewal_risk'
        when worst.is_active then 'active'
        else 'ended'
    end as segment
from users
left join worst on users.user_id = worst.user_id
