{# What DuckDB and Spark write differently about dates and times. Nothing but this folder names an engine. #}

{% macro business_date(timestamp_utc) -%}
    {#- The date of a UTC time in the business time zone. -#}
    {{ adapter.dispatch('business_date', 'barometer')(timestamp_utc, var('business_time_zone')) }}
{%- endmacro %}

{% macro duckdb__business_date(timestamp_utc, zone) -%}
    {%- if zone == 'UTC' -%}
    cast({{ timestamp_utc }} as date)
    {%- else -%}
    cast(timezone('{{ zone }}', timezone('UTC', {{ timestamp_utc }})) as date)
    {%- endif -%}
{%- endmacro %}

{% macro spark__business_date(timestamp_utc, zone) -%}
    to_date(from_utc_timestamp({{ timestamp_utc }}, '{{ zone }}'))
{%- endmacro %}


{% macro add_days(date, days) -%}
    {{ adapter.dispatch('add_days', 'barometer')(date, days) }}
{%- endmacro %}

{% macro duckdb__add_days(date, days) -%} ({{ date }} + ({{ days }})) {%- endmacro %}

{% macro spark__add_days(date, days) -%} date_add({{ date }}, {{ days }}) {%- endmacro %}


{% macro days_between(earlier, later) -%}
    {#- Whole days from one date to another: the age of `earlier` at `later`. -#}
    {{ adapter.dispatch('days_between', 'barometer')(earlier, later) }}
{%- endmacro %}

{% macro duckdb__days_between(earlier, later) -%} cast({{ later }} - {{ earlier }} as integer) {%- endmacro %}

{% macro spark__days_between(earlier, later) -%} datediff({{ later }}, {{ earlier }}) {%- endmacro %}


{% macro seconds_between(earlier, later) -%}
    {#- Whole seconds from one time to another. -#}
    {{ adapter.dispatch('seconds_between', 'barometer')(earlier, later) }}
{%- endmacro %}

{% macro duckdb__seconds_between(earlier, later) -%} date_diff('second', {{ earlier }}, {{ later }}) {%- endmacro %}

{% macro spark__seconds_between(earlier, later) -%}
    (unix_timestamp({{ later }}) - unix_timestamp({{ earlier }}))
{%- endmacro %}


{% macro last_day_of_previous_month(date) -%}
    {{ adapter.dispatch('last_day_of_previous_month', 'barometer')(date) }}
{%- endmacro %}

{% macro duckdb__last_day_of_previous_month(date) -%}
    cast(date_trunc('month', {{ date }}) - interval 1 day as date)
{%- endmacro %}

{% macro spark__last_day_of_previous_month(date) -%} last_day(add_months({{ date }}, -1)) {%- endmacro %}


{% macro weekday(date) -%}
    {#- The name of the day of the week, in small letters. -#}
    {{ adapter.dispatch('weekday', 'barometer')(date) }}
{%- endmacro %}

{% macro duckdb__weekday(date) -%} lower(dayname({{ date }})) {%- endmacro %}

{% macro spark__weekday(date) -%} lower(date_format({{ date }}, 'EEEE')) {%- endmacro %}


{% macro dates_between(first, last) -%}
    {#- In a select list: a row for each date from one to another, both included. -#}
    {{ adapter.dispatch('dates_between', 'barometer')(first, last) }}
{%- endmacro %}

{% macro duckdb__dates_between(first, last) -%}
    cast(unnest(generate_series({{ first }}, {{ last }}, interval 1 day)) as date)
{%- endmacro %}

{% macro spark__dates_between(first, last) -%} explode(sequence({{ first }}, {{ last }})) {%- endmacro %}
