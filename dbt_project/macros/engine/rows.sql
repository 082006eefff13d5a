{% macro tell_rows(relation, model) -%}
    {#-
        To be a post-hook: says in the log how many rows a model has, from where the pipeline takes them for its record.
        A view is not counted, that would compute it.
    -#}
    {%- if execute and model.config.materialized != 'view' -%}
        {{ adapter.dispatch('tell_rows', 'barometer')(relation) }}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__tell_rows(relation) -%}
    {%- set rows = run_query('select count(*) from ' ~ relation).rows[0][0] -%}
    {%- do log('rows of ' ~ relation.identifier ~ ': ' ~ rows, info=true) -%}
{%- endmacro %}

{% macro spark__tell_rows(relation) -%}
    {#- There a count reads the table again. -#}
{%- endmacro %}
