{#
    A full build of a rollup reads all of history. Where its meta says `built_by_month_of: [raw dataset, time]`, the
    engine that builds in one place (macros/engine/tables.sql) does so some months at a time: memory grows with what these
    hold; the raw rows of each month say how many. A number as third says how many of them take as much as one elsewhere.
    The model's SQL reads from part_from() to part_until(), which are the ends of time in what dbt compiles; the table is
    made with the dates of each part instead.
#}

{% macro part_from() -%} date '0001-01-01' /* of a part */ {%- endmacro %}

{% macro part_until() -%} date '9999-12-31' /* of a part */ {%- endmacro %}


{% macro before_end_of_part(expression, end) -%}
    {#- The last part has no end. -#}
    ({{ expression }} < {{ end }} or {{ part_until() }} = {{ end_of_time() }})
{%- endmacro %}


{% macro in_part(rows, date_column, time_column=none, days_before=0) -%}
    {#-
        Rows of a part by their date, and of some days before it. The time that the date is made from, with a day to spare
        for any time zone, is what lets a scan skip the other months.
    -#}
    {{ rows }}.{{ date_column }} >= {{ add_days(part_from(), -days_before) }}
    and {{ before_end_of_part(rows ~ '.' ~ date_column, part_until()) }}
    {%- if time_column %}
    and {{ rows }}.{{ time_column }} >= cast({{ add_days(part_from(), -1 - days_before) }} as timestamp)
    and {{ before_end_of_part(rows ~ '.' ~ time_column, 'cast(' ~ part_until() ~ " as timestamp) + interval '1' day") }}
    {%- endif %}
{%- endmacro %}


{% macro parts_of(built_by) -%}
    {#- From and until of each part, as SQL: months, as many as have so many rows together as are built at once. -#}
    {%- set dataset, time = built_by[:2] -%}
    {%- set most = var('rows_built_at_once') * (built_by[2:] or [1])[0] -%}
    {%- set months = run_query(
        "select cast(date_trunc('month', " ~ time ~ ") as date), count(*) from "
        ~ source('raw', dataset).render() ~ " where " ~ time ~ " is not null group by all order by all"
    ) -%}
    {%- set starts = [] -%}
    {%- set held = namespace(rows=most) -%}
    {%- for month in months.rows -%}
        {%- if held.rows >= most -%}
            {%- do starts.append("date '" ~ month[0] ~ "'") -%}
            {%- set held.rows = 0 -%}
        {%- endif -%}
        {%- set held.rows = held.rows + month[1] -%}
    {%- endfor -%}
    {%- set inner = starts[1:] -%}
    {{ return(zip([start_of_time()] + inner, inner + [end_of_time()]) | list) }}
{%- endmacro %}
