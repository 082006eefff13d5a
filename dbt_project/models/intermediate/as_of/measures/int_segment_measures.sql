-- One row per (family, segment) of the published families: users, and of each measure the users who have it, sum, sum of squares, least and greatest.
{{ config(database='build') }}

with

scaled as (

    select
        {%- for family in families() %}
        segments.{{ family }},
        {%- endfor %}
        {%- for measure in profile_measures() %}
        {{ scaled(measure, 'measures') }} as scaled_{{ measure.name }},
        {%- endfor %}
        measures.mean_order_value,
        measures.contacts_90d,
        measures.opened_contacts_90d,
        measures.clicked_contacts_90d
    from {{ ref('user_360') }} as segments
    inner join {{ ref('int_user_measures') }} as measures on segments.user_id = measures.user_id

),

-- one pass for all families
counted as (

    select
        {{ families() | join(', ') }},
        count(*) as users,
        {%- for measure in profile_measures() %}
        {%- set name = measure.name %}
        count(scaled_{{ name }}) as {{ name }}_users,
        sum(scaled_{{ name }}) as {{ name }}_sum,
        sum(scaled_{{ name }} * scaled_{{ name }}) as {{ name }}_squares,
        min(scaled_{{ name }}) as {{ name }}_least,
        max(scaled_{{ name }}) as {{ name }}_greatest,
        {%- endfor %}
        sum(cast(mean_order_value as decimal(18, 6))) as order_value_sum,
        sum(contacts_90d) as contacts_90d,
        sum(opened_contacts_90d) as opened_contacts_90d,
        sum(clicked_contacts_90d) as clicked_contacts_90d
    from scaled
    group by grouping sets ({% for family in families() %}({{ family }}){{ ', ' if not loop.last }}{% endfor %})

)

select
    {{ first_of(families()) }} as family,
    coalesce({{ families() | join(', ') }}) as segment,
    cast(users as bigint) as users,
    {%- for measure in profile_measures() %}
    {%- set name = measure.name %}
    cast({{ name }}_users as bigint) as {{ name }}_users,
    {{ name }}_sum,
    {{ name }}_squares,
    {{ name }}_least,
    {{ name }}_greatest,
    {%- endfor %}
    order_value_sum,
    cast(contacts_90d as bigint) as contacts_90d,
    cast(opened_contacts_90d as bigint) as opened_contacts_90d,
    cast(clicked_contacts_90d as bigint) as clicked_contacts_90d
from counted
-- families are never null: what is left out is the one row of an empty warehouse
where {{ first_of(families()) }} is not null
