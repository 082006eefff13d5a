-- One row per user with a sign of awareness lately: the highest stage of the ladder, as of the date.
{{ config(database='build') }}

with

activity as (

    select
        user_id,
        activity_date
        {%- for name in stage_counts() %},
        sum({{ name }}) as {{ name }}
        {%- endfor %}
    from {{ ref('int_user_activity_daily') }}
    where known_date <= {{ as_of() }} and {{ in_last('activity_date', var('purchase_stage_days')) }}
    group by user_id, activity_date

),

clicks as (

    select user_id from {{ ref('int_user_messages') }}
    where {{ in_last('last_click_date', var('purchase_stage_days')) }}

),

ranks as (

    select
        user_id,
        case
            {%- for name in stage_counts() %}
            when {{ name }} > 0 then {{ loop.index }}
            {%- endfor %}
        end as stage_rank
    from activity

    union all

    -- who clicks on a message knows of the problem at least
    select user_id, {{ awareness_stages() | length }} as stage_rank from clicks

)

select
    user_id,
    case min(stage_rank)
        {%- for stage in awareness_stages() %}
        when {{ loop.index }} then '{{ stage }}'
        {%- endfor %}
    end as awareness_stage
from ranks
where stage_rank is not null
group by user_id
