{% macro ordering(expressions) -%}
    {#- One value that orders by several, for min_by and max_by. -#}
    {{ adapter.dispatch('ordering', 'barometer')(expressions) }}
{%- endmacro %}

{% macro duckdb__ordering(expressions) -%} row({{ expressions | join(', ') }}) {%- endmacro %}

{% macro spark__ordering(expressions) -%} struct({{ expressions | join(', ') }}) {%- endmacro %}


{% macro quantile(fraction, value) -%}
    {#- Linear interpolation (type 7), the same on both engines; of doubles, so that both interpolate alike. -#}
    percentile_cont({{ fraction }}) within group (order by cast({{ value }} as double))
{%- endmacro %}


{% macro series(from, to) -%}
    {#- A table expression with one integer column `n`. -#}
    {{ adapter.dispatch('series', 'barometer')(from, to) }}
{%- endmacro %}

{% macro duckdb__series(from, to) -%} (select unnest(range({{ from }}, {{ to }} + 1)) as n) {%- endmacro %}

{% macro spark__series(from, to) -%} (select explode(sequence({{ from }}, {{ to }})) as n) {%- endmacro %}


{% macro list_as_text(list) -%}
    {#- A list of texts as one text, separated by |: what a BI tool can filter. -#}
    {{ adapter.dispatch('list_as_text', 'barometer')(list) }}
{%- endmacro %}

{% macro duckdb__list_as_text(list) -%} array_to_string({{ list }}, '|') {%- endmacro %}

{% macro spark__list_as_text(list) -%} array_join({{ list }}, '|') {%- endmacro %}


{% macro is_email(text) -%}
    {#- One address, as anybody may write it: one @, a dot after it, nothing that separates or quotes. -#}
    {{ adapter.dispatch('is_email', 'barometer')("trim(" ~ text ~ ")", '[^@\\s,;<>"\\x{00A0}]+@[^@\\s,;<>"\\x{00A0}]+\\.[^@\\s,;<>"\\x{00A0}]+') }}
{%- endmacro %}

{% macro duckdb__is_email(text, pattern) -%} regexp_full_match({{ text }}, '{{ pattern }}') {%- endmacro %}

{% macro spark__is_email(text, pattern) -%} {{ text }} rlike r'^{{ pattern }}$' {%- endmacro %}
