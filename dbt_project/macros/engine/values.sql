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


{% macro masked(text) -%}
    {#- A text with what may be an address in it, a word with an @ or a long number, as ***. -#}
    {{ adapter.dispatch('masked', 'barometer')(text, '[^ ]*@[^ ]*|[+]?[0-9]{6,}') }}
{%- endmacro %}

{% macro duckdb__masked(text, pattern) -%} regexp_replace({{ text }}, '{{ pattern }}', '***', 'g') {%- endmacro %}

{% macro spark__masked(text, pattern) -%} regexp_replace({{ text }}, '{{ pattern }}', '***') {%- endmacro %}


{% macro is_email(text) -%}
    {#- One address, as anybody may write it: one @, a dot after it, nothing that separates or quotes. -#}
    {{ adapter.dispatch('is_email', 'barometer')("trim(" ~ text ~ ")", '[^@\\s,;<>"\\x{00A0}]+@[^@\\s,;<>"\\x{00A0}]+\\.[^@\\s,;<>"\\x{00A0}]+') }}
{%- endmacro %}

{% macro duckdb__is_email(text, pattern) -%} regexp_full_match({{ text }}, '{{ pattern }}') {%- endmacro %}

{% macro spark__is_email(text, pattern) -%} {{ text }} rlike r'^{{ pattern }}\z' {%- endmacro %}


{% macro joined_text(text, order) -%}
    {#- An aggregate: the texts of a group as one, separated by |, in an order. -#}
    {{ adapter.dispatch('joined_text', 'barometer')(text, order) }}
{%- endmacro %}

{% macro duckdb__joined_text(text, order) -%}
    {#- Sorted as a list: an aggregate with an order takes five times as long over many small groups. -#}
    array_to_string(list_transform(list_sort(list(row({{ order }}, {{ text }}))), lambda pair: pair[2]), '|')
{%- endmacro %}

{% macro spark__joined_text(text, order) -%}
    case
        when count({{ text }}) > 0
            then array_join(transform(sort_array(collect_list(struct({{ order }} as o, {{ text }} as t))), s -> s.t), '|')
    end
{%- endmacro %}


{% macro exploded(list) -%}
    {#- In a select list: a row for each element of a list. -#}
    {{ adapter.dispatch('exploded', 'barometer')(list) }}
{%- endmacro %}

{% macro duckdb__exploded(list) -%} unnest({{ list }}) {%- endmacro %}

{% macro spark__exploded(list) -%} explode({{ list }}) {%- endmacro %}


{% macro collected(value) -%}
    {#- An aggregate: the values of a group that are not null, as a list. -#}
    {{ adapter.dispatch('collected', 'barometer')(value) }}
{%- endmacro %}

{% macro duckdb__collected(value) -%} array_agg({{ value }}) filter (where {{ value }} is not null) {%- endmacro %}

{% macro spark__collected(value) -%} collect_list({{ value }}) {%- endmacro %}


{% macro contains(list, value) -%}
    {#- Whether a list has a value; false where there is no list. -#}
    coalesce({{ adapter.dispatch('contains', 'barometer')(list, value) }}, false)
{%- endmacro %}

{% macro duckdb__contains(list, value) -%} list_contains({{ list }}, {{ value }}) {%- endmacro %}

{% macro spark__contains(list, value) -%} array_contains({{ list }}, {{ value }}) {%- endmacro %}


{% macro hash_integer(text) -%}
    {#- The first 8 hex digits of the md5 of a text, as a whole number from 0 to 2^32 - 1. -#}
    {{ adapter.dispatch('hash_integer', 'barometer')(text) }}
{%- endmacro %}

{% macro duckdb__hash_integer(text) -%} cast('0x' || substr(md5({{ text }}), 1, 8) as bigint) {%- endmacro %}

{% macro spark__hash_integer(text) -%} cast(conv(substr(md5({{ text }}), 1, 8), 16, 10) as bigint) {%- endmacro %}
