-- One row per (family, segment, other_family, other_segment): users who are in both; each pair of families in one direction. An `age` is a family too.
{{ config(database='build') }}
{%- set columns = families() + ['age'] %}
{%- set pairs = [] %}
{%- for family in columns %}
{%- for other in columns[loop.index:] %}{%- do pairs.append('(' ~ family ~ ', ' ~ other ~ ')') -%}{%- endfor %}
{%- endfor %}

with

users as (

    select
        {%- for family in families() %}
        segments.{{ family }},
        {%- endfor %}
        coalesce(cast(measures.age as string), 'unknown') as age
    from {{ ref('user_360') }} as segments
    inner join {{ ref('int_user_measures') }} as measures on segments.user_id = measures.user_id

),

-- one pass for all pairs: of the columns, none of which is null, each row has two
counted as (

    select {{ columns | join(', ') }}, count(*) as users
    from users
    group by grouping sets ({{ pairs | join(', ') }})

)

select
    {{ first_of(columns) }} as family,
    coalesce({{ columns | join(', ') }}) as segment,
    {{ first_of(columns | reverse | list) }} as other_family,
    coalesce({{ columns | reverse | join(', ') }}) as other_segment,
    cast(users as bigint) as users
from counted
where {{ first_of(columns) }} is not null
