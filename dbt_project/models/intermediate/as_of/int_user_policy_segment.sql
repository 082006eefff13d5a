-- One row per known user: the policy segment, which says whose caps hold, as of the date, and the arm of the dose test (null: none runs).
{{ config(database='build') }}

with

users as (

    select * from {{ ref('int_known_users') }}

),

engagement as (

    select * from {{ ref('fam_engagement') }}

),

orders as (

    select * from {{ ref('int_user_orders') }}

),

-- unsubscribes and complaints
refusals as (

    select distinct user_id from {{ ref('int_negative_signals') }}
    where signal in ('unsubscribe', 'complaint') and {{ in_last('signal_date', var('fatigue_signal_days')) }}

),

contacts as (

    select contacts.user_id, contacts.sent_at
    from {{ ref('fct_contacts') }} as contacts
    inner join {{ ref('channels') }} as channels on contacts.channel = channels.channel and channels.reports_reactions
    where contacts.is_contact and {{ in_last('contacts.contact_date', var('fatigue_contact_days')) }}

),

answers as (

    select user_id, last_reaction_at as answered_at
    from {{ ref('int_user_messages') }}
    where last_reaction_at is not null

    union all

    select user_id, ended_at as answered_at
    from {{ ref('int_sessions') }}
    where
        known_from <= {{ as_of() }}
        and {{ as_of() }} < known_until
        and {{ in_last('activity_date', var('fatigue_contact_days')) }}

    union all

    select user_id, ordered_at as answered_at from {{ ref('int_recent_orders') }}

),

last_answers as (

    select user_id, max(answered_at) as answered_at from answers group by user_id

),

unanswered as (

    select contacts.user_id, count(*) as contacts
    from contacts
    left join last_answers on contacts.user_id = last_answers.user_id
    where last_answers.user_id is null or contacts.sent_at >= last_answers.answered_at
    group by contacts.user_id

)

select
    users.user_id,
    case
        when refusals.user_id is not null or unanswered.contacts >= {{ var('fatigue_contacts') }} then 'fatigued'
        when {{ has_just_ordered('orders.last_order_date') }} then 'recent_buyer'
        when engagement.segment in ('dormant', 'new', 'one_time', 'engaged') then engagement.segment
        else 'default'
    end as policy_segment,
    arms.dose_arm
from users
left join engagement on users.user_id = engagement.user_id
left join orders on users.user_id = orders.user_id
left join refusals on users.user_id = refusals.user_id
left join unanswered on users.user_id = unanswered.user_id
left join {{ ref('int_dose_arms') }} as arms on users.user_id = arms.user_id
