-- One row per known user: what the user does with messages.
with

users as (

    select * from {{ ref('int_known_users') }}

),

messages as (

    select * from {{ ref('int_user_messages') }}

),

first_grants as (

    select user_id, min(occurred_date) as granted_date
    from {{ ref('stg_consents') }}
    where {{ known_on(as_of()) }} and occurred_date <= {{ as_of() }} and status = 'granted'
    group by user_id

)

select
    users.user_id,
    case
        when messages.user_id is null then 'never_contacted'
        when {{ age('first_grants.granted_date') }} <= {{ var('message_new_subscriber_days') }} then 'new_subscriber'
        when {{ in_last('messages.last_click_date', var('message_click_days')) }} then 'clicker'
        when {{ in_last('messages.last_open_date', var('message_open_days')) }} then 'reader'
        when
            messages.contacts_lately >= {{ var('message_passive_contacts') }}
            and (
                messages.last_open_date is null
                or {{ age('messages.last_open_date') }} >= {{ var('message_passive_days') }}
            )
            then 'passive'
        else 'quiet'
    end as segment
from users
left join messages on users.user_id = messages.user_id
left join first_grants on users.user_id = first_grants.user_id
