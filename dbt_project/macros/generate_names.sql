{# Schemas and databases are called what the project says, on every target. #}

{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ custom_schema_name or target.schema }}
{%- endmacro %}

{% macro generate_database_name(custom_database_name=none, node=none) -%}
    {{ adapter.dispatch('generate_database_name', 'barometer')(custom_database_name, node) }}
{%- endmacro %}

{% macro duckdb__generate_database_name(custom_database_name, node) -%}
    {%- if node and node.name.startswith('fam_') and node.name[4:] in var('unpublished_families') -%}
    {{ target.database }}
    {%- else -%}
    {{ custom_database_name or target.database }}
    {%- endif -%}
{%- endmacro %}

{% macro spark__generate_database_name(custom_database_name, node) -%}{%- endmacro %}
