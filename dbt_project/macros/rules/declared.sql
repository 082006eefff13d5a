{% macro declared_family(column) -%}
{#- One row per known user: what the profile says in a column, or unknown. -#}
with

users as (

    select * from {{ ref('int_known_users') }}

),

profiles as (

    select * from {{ ref('int_user_profiles') }}

)

select
    users.user_id,
    coalesce(profiles.{{ column }}, 'unknown') as segment
from users
left join profiles on users.user_id = profiles.user_id
{%- endmacro %}


{% macro declared_list_family(family, column) -%}
{#-
    One row per known user: of a declared list the first in the order of the seed; beside it all of it in that order
    (what the seed lacks comes last, by name), and the same with `other` for what too few users declare.
-#}
with

users as (

    select * from {{ ref('int_known_users') }}

),

items as (

    select distinct user_id, trim(item) as item
    from (
        select user_id, {{ exploded(column) }} as item
        from {{ ref('int_user_profiles') }}
    ) as exploded
    where trim(item) <> ''

),

declared_order as (

    select * from {{ ref('declared_order') }} where family = '{{ family }}'

),

-- every item once, numbered in the order of the seed
all_items as (

    select
        counted.item,
        case when counted.users < {{ var('declared_min_users') }} then 'other' else counted.item end as published_item,
        row_number() over (
            order by case when declared_order.position is null then 1 else 0 end, declared_order.position, counted.item
        ) as item_number
    from (select item, count(*) as users from items group by item) as counted
    left join declared_order on counted.item = declared_order.declared

),

numbered as (

    select items.user_id, items.item, all_items.published_item, all_items.item_number
    from items
    inner join all_items on items.item = all_items.item

),

published_lists as (

    select user_id, {{ joined_text('published_item', 'item_number') }} as published
    from (
        select user_id, published_item, min(item_number) as item_number
        from numbered
        group by user_id, published_item
    ) as published_items
    group by user_id

),

declared_lists as (

    select
        numbered.user_id,
        min_by(numbered.item, numbered.item_number) as first_declared,
        {{ joined_text('numbered.item', 'numbered.item_number') }} as declared,
        max(published_lists.published) as published
    from numbered
    inner join published_lists on numbered.user_id = published_lists.user_id
    group by numbered.user_id

)

select
    users.user_id,
    coalesce(declared_lists.first_declared, 'unknown') as segment,
    declared_lists.declared,
    declared_lists.published
from users
left join declared_lists on users.user_id = declared_lists.user_id
{%- endmacro %}


{% macro whole_years(birth_date, date) -%}
    {#- Age in whole years: who was born on 29 February is a year older on 1 March. -#}
    cast(floor((
        extract(year from {{ date }}) * 10000 + extract(month from {{ date }}) * 100 + extract(day from {{ date }})
        - extract(year from {{ birth_date }}) * 10000 - extract(month from {{ birth_date }}) * 100 - extract(day from {{ birth_date }})
    ) / 10000.0) as integer)
{%- endmacro %}
