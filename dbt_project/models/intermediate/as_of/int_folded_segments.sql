-- One row per (family, segment) that is published as `other`: declared by too few users, or beyond the number of segments. Never published.
with

counted as (
{%- for family in families() %}

    select '{{ family }}' as family, segment, count(*) as users
    from {{ ref('fam_' ~ family) }}
    group by segment
    {{- '\n\n    union all' if not loop.last }}
{%- endfor %}

),

judged as (

    select
        *,
        -- what is missing is no value
        family in ({% for family in families('declared') %}'{{ family }}', {% endfor %}'')
        and segment not in ('unknown', 'other')
        and users < {{ var('declared_min_users') }} as is_small
    from counted

),

ranked as (

    select
        *,
        row_number() over (
            partition by family
            order by case when is_small or segment = 'other' then 1 else 0 end, users desc, segment
        ) as size_rank,
        -- what is left when the small ones are one
        count(case when not is_small and segment <> 'other' then 1 end) over (partition by family)
        + max(case when is_small or segment = 'other' then 1 else 0 end) over (partition by family) as segments
    from judged

)

select
    family,
    segment
from ranked
where
    segment <> 'other'
    and (is_small or (segments > {{ var('family_max_segments') }} and size_rank > {{ var('family_max_segments') }} - 1))
