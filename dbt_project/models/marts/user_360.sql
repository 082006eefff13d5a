-- One row per known user: the segment in every published family and the main measures, as of the date.
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

pressure as (

    select * from {{ ref('contact_pressure') }}

),

-- one row: the segments that become `other`, a list a family
folded as (

    select
        {%- for family in families() %}
        {{ collected("case when family = '" ~ family ~ "' then segment end") }} as {{ family }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_folded_segments') }}

)

select
    users.user_id,
    {{ as_of() }} as as_of,
    {%- for family in families() %}
    case when {{ contains('folded.' ~ family, 'fam_' ~ family ~ '.segment') }} then 'other' else fam_{{ family }}.segment end as {{ family }},
    {%- endfor %}
    nullif(users.first_known_date, {{ start_of_time() }}) as first_known_date,
    activity.first_visit_date,
    activity.last_visit_date,
    coalesce(activity.visits, 0) as visits,
    coalesce(activity.visit_days_30d, 0) as visit_days_30d,
    {{ beside('engagement_outlook', 'expected_gap_days', 'double') }} as expected_gap_days,
    {{ beside('lead_temperature', 'lead_score', 'double') }} as lead_score,
    {{ beside('category_affinity', 'share', 'double') }} as category_affinity_share,
    {{ beside('category_affinity', 'runner_up', 'string') }} as category_runner_up,
    {{ beside('abandonment', 'product_id', 'string') }} as abandoned_product_id,
    {{ beside('abandonment', 'category', 'string') }} as abandoned_category,
    {{ beside('reachability', 'channels', 'string') }} as reachable_channels,
    {{ beside('interest', 'published', 'string') }} as interests,
    orders.first_order_date,
    orders.last_order_date,
    coalesce(orders.orders, 0) as orders,
    coalesce(orders.orders_without_value, 0) as orders_without_value,
    coalesce(orders.net_revenue, 0) as net_revenue,
    orders.mean_order_value,
    coalesce(orders.orders_in_window, 0) as orders_in_window,
    coalesce(orders.net_revenue_in_window, 0) as net_revenue_in_window,
    pressure.contacts_1d,
    pressure.contacts_7d,
    pressure.contacts_30d,
    pressure.days_since_last_contact
from users
cross join folded
left join activity on users.user_id = activity.user_id
left join orders on users.user_id = orders.user_id
left join pressure on users.user_id = pressure.user_id
{%- for family in families() %}
left join {{ ref('fam_' ~ family) }} as fam_{{ family }} on users.user_id = fam_{{ family }}.user_id
{%- endfor %}
