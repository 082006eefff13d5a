-- One row per known user: the last date of a visit, an order or a reaction, and of any sign that the user wants to hear from the company.
{{ config(database='build') }}

with

users as (

    select * from {{ ref('int_known_users') }}

),

visits as (

    select * from {{ ref('int_user_activity') }}

),

orders as (

    select * from {{ ref('int_user_orders') }}

),

messages as (

    select * from {{ ref('int_user_messages') }}

),

grants as (

    select user_id, max(occurred_date) as last_grant_date
    from {{ ref('stg_consents') }}
    where {{ known_on(as_of()) }} and occurred_date <= {{ as_of() }} and status = 'granted'
    group by user_id

),

latest as (

    select
        users.user_id,
        users.first_known_date,
        grants.last_grant_date,
        nullif(
            greatest(
                coalesce(visits.last_visit_date, {{ start_of_time() }}),
                coalesce(orders.last_order_date, {{ start_of_time() }}),
                coalesce(messages.last_reaction_date, {{ start_of_time() }})
            ), {{ start_of_time() }}
        ) as last_activity_date
    from users
    left join visits on users.user_id = visits.user_id
    left join orders on users.user_id = orders.user_id
    left join messages on users.user_id = messages.user_id
    left join grants on users.user_id = grants.user_id

)

select
    user_id,
    last_activity_date,
    -- who never did anything is as old as what is known of the user
    coalesce(
        greatest(coalesce(last_activity_date, last_grant_date), coalesce(last_grant_date, last_activity_date)),
        first_known_date
    ) as last_sign_date
from latest
