-- One row per (user_id, family, valid_from): a segment that a user was in, up to the date on which that changed.
{{ config(materialized='view') }}
-- depends_on: {{ ref('user_360') }}, from which the pipeline writes what is read here, after dbt

with

segments as (
{%- for family in families() %}

    -- the dates on which the segment of this family changed; null: not known before, or no longer
    select user_id, '{{ family }}' as family, segment, as_of
    from (
        select
            user_id,
            {{ family }} as segment,
            as_of,
            lag({{ family }}) over (partition by user_id order by as_of) as segment_before
        from {{ source('history', 'segment_changes') }}
    ) as {{ family }}_by_date
    where segment is distinct from segment_before
    {{- '\n\n    union all' if not loop.last }}
{%- endfor %}

),

spans as (

    select
        user_id,
        family,
        segment,
        as_of as valid_from,
        lead(as_of) over (partition by user_id, family order by as_of) as valid_to
    from segments

)

select
    user_id,
    family,
    segment,
    valid_from,
    valid_to
from spans
where segment is not null
