{% macro as_of() -%}
    {#- The date that the run asks about. Read from the one row that is written before dbt starts, never from a clock. -#}
    (select as_of from {{ source('control', 'run_context') }})
{%- endmacro %}

{% macro plan_date() -%}
    {#- The date that may be contacted on: the day after as_of. -#}
    (select plan_date from {{ source('control', 'run_context') }})
{%- endmacro %}

{% macro end_of_time() -%} date '9999-12-31' {%- endmacro %}

{% macro start_of_time() -%} date '0001-01-01' {%- endmacro %}

{% macro all_loaded() -%}
    {#- Stands for as_of where everything loaded counts, whatever its date: the veto. Versions end the day after. -#}
    date '9999-12-30'
{%- endmacro %}

{% macro known_on(date) -%}
    {#- Which version of a versioned row counts as of a date. -#}
    known_from <= {{ date }} and {{ date }} < known_until
{%- endmacro %}

{% macro age(date) -%}
    {#- Age of a date at as_of, in whole days. -#}
    {{ days_between(date, as_of()) }}
{%- endmacro %}

{% macro in_last(date, days) -%}
    {#- Whether a date is one of the last n days: ages 0 to n - 1. Compared as it is, it lets a scan skip other days. -#}
    ({{ date }} > {{ add_days(as_of(), '-(' ~ days ~ ')') }} and {{ date }} <= {{ as_of() }})
{%- endmacro %}

{% macro since_days_ago(days) -%}
    {#- A time before any moment of the last n days in any business time zone: what lets a scan skip old rows. -#}
    cast({{ add_days(as_of(), -(days + 1)) }} as timestamp)
{%- endmacro %}
