-- One row per user of a sample by hash: the segments, and the measures as they are compared. Without user_id.
{{ config(database='build') }}

with

users as (

    select user_id
    from {{ ref('user_360') }}
    order by {{ hash_integer("concat('quality|1|', user_id)") }}, user_id
    limit {{ var('quality_sample_users') }}

)

select
    {%- for family in families() %}
    segments.{{ family }},
    {%- endfor %}
    {%- for measure in quality_measures() %}
    cast({{ scaled(measure, 'measures') }} as double) as scaled_{{ measure.name }}{{ ',' if not loop.last }}
    {%- endfor %}
from users
inner join {{ ref('user_360') }} as segments on users.user_id = segments.user_id
inner join {{ ref('int_user_measures') }} as measures on users.user_id = measures.user_id
