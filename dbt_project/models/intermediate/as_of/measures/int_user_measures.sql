-- One row per known user: the measures by which families are judged and segments described, as of the date. No name, no address.
{{ config(database='build') }}

with

visit_days as (

    select user_id, sum(visits) as visits
    from {{ ref('int_user_activity_daily') }}
    where known_date <= {{ as_of() }} and visits <> 0 and {{ in_last('activity_date', var('pressure_month_days')) }}
    group by user_id

),

responses as (

    select
        user_id,
        sum(contacts) as contacts,
        sum(opened_contacts) as opened_contacts,
        sum(clicked_contacts) as clicked_contacts
    from {{ ref('int_channel_response') }}
    group by user_id

)

select
    users.user_id,
    {%- if 'age_band' in families() %}
    case
        when {{ whole_years('profiles.birth_date', as_of()) }} between 0 and {{ var('declared_max_age') }}
            then {{ whole_years('profiles.birth_date', as_of()) }}
    end as age,
    {%- else %}
    -- the family age_band is not published
    cast(null as integer) as age,
    {%- endif %}
    cast(coalesce(visit_days.visits, 0) as bigint) as visits_30d,
    coalesce(orders.orders_in_window, 0) as orders_365d,
    coalesce(orders.net_revenue_in_window, 0) as revenue_365d,
    orders.mean_order_value,
    pressure.contacts_30d,
    cast(coalesce(responses.contacts, 0) as bigint) as contacts_90d,
    cast(coalesce(responses.opened_contacts, 0) as bigint) as opened_contacts_90d,
    cast(coalesce(responses.clicked_contacts, 0) as bigint) as clicked_contacts_90d,
    -- null without a contact
    round(cast(responses.opened_contacts as double) / nullif(responses.contacts, 0), 6) as open_rate_90d,
    round(cast(responses.clicked_contacts as double) / nullif(responses.contacts, 0), 6) as click_rate_90d
from {{ ref('int_known_users') }} as users
left join visit_days on users.user_id = visit_days.user_id
left join {{ ref('int_user_orders') }} as orders on users.user_id = orders.user_id
left join {{ ref('contact_pressure') }} as pressure on users.user_id = pressure.user_id
left join responses on users.user_id = responses.user_id
left join {{ ref('int_user_profiles') }} as profiles on users.user_id = profiles.user_id
