-- One row per (dataset, attribute) that a family or an audience needs: of how many users it could be known, and of how many it is, as of the date.
{#- what people say of themselves, and the family that shows whether it can be read -#}
{%- set declared = {
    'birth_date': 'age_band', 'gender': 'gender', 'country': 'country', 'region': 'region', 'city': 'city',
    'income_band': 'income_band', 'education': 'education', 'interests': 'interest', 'declared_values': 'value',
} %}

with

users as (

    select user_id from {{ ref('int_known_users') }}

),

-- a user each, with what is needed of the other datasets
found as (

    select
        count(*) as users,
        count(starts.user_id) as with_start,
        count(addresses.user_id) as with_address,
        count(consents.user_id) as with_consent,
        count(activity.user_id) as visitors,
        count(orders.user_id) as buyers,
        count(case when orders.orders_without_value = 0 then 1 end) as buyers_with_value,
        count(subscriptions.user_id) as subscribers,
        count(case when subscriptions.renewals > 0 then 1 end) as subscribers_with_renewal,
        count(interests.user_id) as interested,
        count(categories.user_id) as interested_in_category,
        count(contacts.user_id) as contacted,
        count(case when contacts.answers > 0 then 1 end) as contacted_with_answer
    from users
    left join {{ ref('int_user_starts') }} as starts on users.user_id = starts.user_id
    left join (select distinct user_id from {{ ref('int_user_addresses') }}) as addresses on users.user_id = addresses.user_id
    left join (
        select distinct user_id from {{ ref('stg_consents') }}
        where {{ known_on(as_of()) }} and occurred_date <= {{ as_of() }}
    ) as consents on users.user_id = consents.user_id
    left join {{ ref('int_user_activity') }} as activity on users.user_id = activity.user_id
    left join {{ ref('int_user_orders') }} as orders on users.user_id = orders.user_id
    left join (
        select user_id, count(renews_date) as renewals
        from {{ ref('stg_subscriptions') }}
        where {{ known_on(as_of()) }} and started_date <= {{ as_of() }} and coalesce(ended_date > {{ as_of() }}, true)
        group by user_id
    ) as subscriptions on users.user_id = subscriptions.user_id
    left join (
        -- a view or cart add of a product or category
        select distinct user_id from {{ ref('int_user_interest_daily') }}
        where known_date <= {{ as_of() }} and {{ in_last('activity_date', var('affinity_days')) }}
    ) as interests on users.user_id = interests.user_id
    left join (
        select distinct user_id from {{ ref('int_category_interest') }}
    ) as categories on interests.user_id = categories.user_id
    left join (
        -- whatever a provider tells of a message is an answer
        select
            messages.user_id,
            count(case
                when messages.is_delivered or messages.is_opened or messages.is_clicked or messages.is_bounced or messages.is_failed
                    then 1
            end) as answers
        from {{ ref('fct_contacts') }} as messages
        inner join {{ ref('channels') }} as channels on messages.channel = channels.channel
        where channels.reports_reactions and {{ in_last('messages.contact_date', var('response_days') | max) }}
        group by messages.user_id
    ) as contacts on users.user_id = contacts.user_id

)
{%- for attribute, family in declared.items() %}

select
    {{ as_of() }} as as_of,
    'users' as dataset,
    '{{ attribute }}' as attribute,
    count(*) as users,
    count(case when segment <> 'unknown' then 1 end) as users_known
from {{ ref('fam_' ~ family) }}

union all
{%- endfor %}

-- the day of the installation, or another that stands for it
select {{ as_of() }} as as_of, 'users' as dataset, 'installed_at' as attribute, users, with_start as users_known from found

union all

select {{ as_of() }} as as_of, 'addresses' as dataset, 'address' as attribute, users, with_address as users_known from found

union all

select {{ as_of() }} as as_of, 'consents' as dataset, 'status' as attribute, users, with_consent as users_known from found

union all

select {{ as_of() }} as as_of, 'events' as dataset, 'user_id' as attribute, users, visitors as users_known from found

union all

select {{ as_of() }} as as_of, 'events' as dataset, 'category' as attribute, interested as users, interested_in_category as users_known from found

union all

select {{ as_of() }} as as_of, 'orders' as dataset, 'order_id' as attribute, users, buyers as users_known from found

union all

select {{ as_of() }} as as_of, 'orders' as dataset, 'currency' as attribute, buyers as users, buyers_with_value as users_known from found

union all

select {{ as_of() }} as as_of, 'message_events' as dataset, 'event' as attribute, contacted as users, contacted_with_answer as users_known from found

union all

select {{ as_of() }} as as_of, 'subscriptions' as dataset, 'renews_at' as attribute, subscribers as users, subscribers_with_renewal as users_known from found
