{% macro tell_rows(rows) -%}
    {#- Has dbt say of a model how many rows it has, from where the pipeline takes them for its record. -#}
    {%- do store_raw_result('main', message=rows ~ ' rows', code='OK', rows_affected=rows) -%}
{%- endmacro %}

{% macro tell_rows_of(relation) -%}
    {#- To be a post-hook of models that are added to: what is inserted is not what they have. -#}
    {%- if execute -%}{{ adapter.dispatch('tell_rows_of', 'barometer')(relation) }}{%- endif -%}
{%- endmacro %}

{% macro duckdb__tell_rows_of(relation) -%}
    {%- do tell_rows(run_query('select count(*) from ' ~ relation).rows[0][0]) -%}
{%- endmacro %}

{% macro spark__tell_rows_of(relation) -%}
    {#- There a count reads the table again. -#}
{%- endmacro %}
