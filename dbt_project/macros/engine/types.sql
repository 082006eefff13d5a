{% macro engine_type(type) -%}
    {#- A type as the files of the project name it, in the words of the engine. -#}
    {{ adapter.dispatch('engine_type', 'barometer')(type) }}
{%- endmacro %}

{% macro duckdb__engine_type(type) -%} {{ type }} {%- endmacro %}

{% macro spark__engine_type(type) -%} {{ type | replace('varchar', 'string') }} {%- endmacro %}
