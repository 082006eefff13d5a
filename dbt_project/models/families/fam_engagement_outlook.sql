-- One row per known user: what the visits to come promise, seen from those that were.
with

users as (

    select * from {{ ref('int_known_users') }}

),

engagement as (

    select * from {{ ref('fam_engagement') }}

),

activity as (

    select * from {{ ref('int_user_activity') }}

),

cadence as (

    select * from {{ ref('int_user_cadence') }}

),

messages as (

    select * from {{ ref('int_user_messages') }}

)

select
    users.user_id,
    case
        when engagement.segment = 'engaged' and cadence.is_overdue then 'engaged_risky'
        when
            engagement.segment = 'new'
            and (
                activity.visit_days >= {{ var('outlook_promising_visit_days') }}
                or activity.cart_adds >= {{ var('outlook_promising_cart_adds') }}
                or activity.product_views >= {{ var('outlook_promising_product_views') }}
            )
            then 'new_promising'
        when
            engagement.segment = 'dormant' and {{ in_last('messages.last_reaction_date', var('outlook_reaction_days')) }}
            then 'dormant_promising'
        else 'steady'
    end as segment,
    cadence.expected_gap_days,
    cadence.silence_days
from users
left join engagement on users.user_id = engagement.user_id
left join activity on users.user_id = activity.user_id
left join cadence on users.user_id = cadence.user_id
left join messages on users.user_id = messages.user_id
