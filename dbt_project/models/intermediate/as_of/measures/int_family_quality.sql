-- One row per published family: its segments, and how much of what users do it explains (eta squared), as of the date.
{{ config(database='build') }}

with

segments as (

    select * from {{ ref('int_segment_measures') }}

),

listed as (
{%- for family in family_models() if family.is_published %}

    select
        '{{ family.name }}' as family,
        {{ 'true' if family.is_declared else 'false' }} as is_declared,
        {{ text_literal(family.built_from | join('|') if family.built_from else none) }} as built_from
    {{- '\n\n    union all' if not loop.last }}
{%- endfor %}

),

-- the segment's own part of the sums between segments and of all
parts as (

    select
        *
        {%- for measure in quality_measures() %},
        cast({{ measure.name }}_sum as double) * cast({{ measure.name }}_sum as double)
        / nullif({{ measure.name }}_users, 0) as {{ measure.name }}_part
        {%- endfor %}
    from segments

),

summed as (

    select
        family,
        cast(sum(users) as bigint) as users,
        count(*) as segments,
        min_by(segment, {{ ordering(['users', 'segment']) }}) as smallest_segment,
        min(users) as smallest_users,
        max(users) as largest_users
        {%- for measure in quality_measures() %}
        {%- set name = measure.name %},
        case when min({{ name }}_least) < max({{ name }}_greatest) then cast(sum({{ name }}_sum) as double) end as {{ name }}_sum,
        cast(sum({{ name }}_users) as double) as {{ name }}_users,
        cast(sum({{ name }}_squares) as double) as {{ name }}_squares,
        cast(sum(cast({{ name }}_part as decimal(38, 9))) as double) as {{ name }}_part
        {%- endfor %}
    from parts
    group by family

),

-- SSB / SST, both about the mean of all; null where everybody is the same
explained as (

    select
        family
        {%- for measure in quality_measures() %}
        {%- set name = measure.name %},
        ({{ name }}_part - {{ name }}_sum * {{ name }}_sum / nullif({{ name }}_users, 0))
        / nullif({{ name }}_squares - {{ name }}_sum * {{ name }}_sum / nullif({{ name }}_users, 0), 0) as {{ name }}
        {%- endfor %}
    from summed

)

select
    listed.family,
    {{ as_of() }} as as_of,
    summed.users,
    cast(summed.segments as bigint) as segments,
    not listed.is_declared and summed.segments > {{ var('quality_max_segments') }} as is_too_many,
    summed.smallest_segment,
    round(cast(summed.smallest_users as double) / summed.users, 6) as smallest_share,
    cast(summed.smallest_users as double) / summed.users < {{ var('quality_min_share') }} as is_too_small,
    round(cast(summed.largest_users as double) / summed.users, 6) as largest_share
    {%- for measure in quality_measures() %},
    {{ share('explained.' ~ measure.name) }} as eta2_{{ measure.name }}
    {%- endfor %},
    listed.built_from
from listed
inner join summed on listed.family = summed.family
inner join explained on listed.family = explained.family
