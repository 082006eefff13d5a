{% macro version_ctes(source, keys, status_order='0') -%}
{#-
    The CTEs that turn rows with a time (known_at) into versions with half-open dates: as of a date the latest version
    known by its end counts; before the first is known, the earliest counts (is_before_known). At equal times the
    greater status_order wins, then the greater md5 of the row. A null known_at means known always.
    Ends in `versions`: the source's columns, known_from, known_until, is_before_known, has_equal_times.
-#}
{%- set key = keys | join(', ') -%}
{%- set on_key -%}
{% for name in keys %}{{ 'and ' if not loop.first }}source.{{ name }} = several.{{ name }} {% endfor %}
{%- endset -%}
-- most keys have one version, and need no order
several as (

    select {{ key }} from {{ source }} group by {{ key }} having count(*) > 1

),

timed as (

    -- one row per (key, known_at): the winner among versions of the same time
    select
        source.*,
        coalesce({{ business_date('known_at') }}, {{ start_of_time() }}) as known_date,
        count(*) over (partition by {% for name in keys %}source.{{ name }}, {% endfor %}source.known_at) > 1 as has_equal_times
    from {{ source }} as source
    inner join several on {{ on_key }}
    qualify
        row_number() over (
            partition by {% for name in keys %}source.{{ name }}, {% endfor %}source.known_at
            order by {{ status_order }} desc, source.row_md5 desc
        ) = 1

),

numbered as (

    select
        *,
        row_number() over (
            partition by {{ key }} order by known_date, case when known_at is null then 0 else 1 end, known_at
        ) as version_number,
        lead(known_date) over (
            partition by {{ key }} order by known_date, case when known_at is null then 0 else 1 end, known_at
        ) as next_known_date
    from timed

    union all

    select
        source.*,
        coalesce({{ business_date('source.known_at') }}, {{ start_of_time() }}) as known_date,
        false as has_equal_times,
        1 as version_number,
        cast(null as date) as next_known_date
    from {{ source }} as source
    left join several on {{ on_key }}
    where several.{{ keys[0] }} is null

),

versions as (

    -- the last version of each date
    select
        *,
        known_date as known_from,
        coalesce(next_known_date, {{ end_of_time() }}) as known_until,
        false as is_before_known
    from numbered
    where next_known_date is null or next_known_date > known_date

    union all

    -- the dates before anything is known
    select
        *,
        {{ start_of_time() }} as known_from,
        known_date as known_until,
        true as is_before_known
    from numbered
    where version_number = 1 and known_date > {{ start_of_time() }}

)
{%- endmacro %}


{% macro order_status_rank(status) -%}
    case {{ status }} when 'refunded' then 4 when 'cancelled' then 3 when 'completed' then 2 else 1 end
{%- endmacro %}
