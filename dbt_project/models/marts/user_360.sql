-- One row per known user: the segment in every family and the main measures, as of the date.
with

users as (

    select * from {{ ref('int_known_users') }}

),

activity as (

    select * from {{ ref('int_user_activity') }}

),

orders as (

    select * from {{ ref('int_user_orders') }}

),

rfm as (

    select * from {{ ref('rfm') }}

),

pressure as (

    select * from {{ ref('contact_pressure') }}

)

select
    users.user_id,
    {{ as_of() }} as as_of,
    {%- for family in families() %}
    fam_{{ family }}.segment as {{ family }},
    {%- endfor %}
    nullif(users.first_known_date, {{ start_of_time() }}) as first_known_date,
    activity.first_visit_date,
    activity.last_visit_date,
    coalesce(activity.visits, 0) as visits,
    coalesce(activity.visit_days_30d, 0) as visit_days_30d,
    orders.first_order_date,
    orders.last_order_date,
    coalesce(orders.orders, 0) as orders,
    coalesce(orders.orders_without_value, 0) as orders_without_value,
    coalesce(orders.net_revenue, 0) as net_revenue,
    coalesce(rfm.frequency, 0) as orders_in_window,
    coalesce(rfm.monetary, 0) as net_revenue_in_window,
    pressure.contacts_1d,
    pressure.contacts_7d,
    pressure.contacts_30d,
    pressure.days_since_last_contact
from users
left join activity on users.user_id = activity.user_id
left join orders on users.user_id = orders.user_id
left join rfm on users.user_id = rfm.user_id
left join pressure on users.user_id = pressure.user_id
{%- for family in families() %}
left join {{ ref('fam_' ~ family) }} as fam_{{ family }} on users.user_id = fam_{{ family }}.user_id
{%- endfor %}
