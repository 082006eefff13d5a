{% macro version_ctes(source, keys, status_order='0') -%}
{#-
    The CTEs that turn rows with a time (known_at) into versions with half-open dates: as of a date the latest version
    known by its end counts; before the first is known, the earliest counts (is_before_known). At equal times the
    greater status_order wins, then the greater md5 of the row. A null known_at means known always.
    Ends in `versions`: the source's columns, known_from, known_until, is_before_known, has_equal_times.
-#}
timed as (

    -- one row per (key, known_at): the winner among versions of the same time
    select
        *,
        coalesce({{ business_date('known_at') }}, {{ start_of_time() }}) as known_date,
        count(*) over (partition by {{ keys | join(', ') }}, known_at) > 1 as has_equal_times
    from {{ source }}
    qualify
        row_number() over (
            partition by {{ keys | join(', ') }}, known_at order by {{ status_order }} desc, row_md5 desc
        ) = 1

),

numbered as (

    select
        *,
        row_number() over (
            partition by {{ keys | join(', ') }} order by known_date, case when known_at is null then 0 else 1 end, known_at
        ) as version_number,
        lead(known_date) over (
            partition by {{ keys | join(', ') }} order by known_date, case when known_at is null then 0 else 1 end, known_at
        ) as next_known_date
    from timed

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
