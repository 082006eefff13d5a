{#
    Tables and views on DuckDB, in as few statements as that takes: a night has some 150 of them, and dbt's own way
    (another name first, two renames, a drop, a hook that counts) costs more than most of the queries. A table takes
    the place of the one before it in one transaction, as there: a run that is killed leaves one or the other.

    Contracts are checked and constraints written. Grants, indexes, sql_header and persist_docs, which the project does
    not use, are not looked at; comments come with publishing.
#}

{% materialization table, adapter='duckdb' %}
    {%- set relation = this.incorporate(type='table') -%}
    {%- do drop_what_is_no('table', relation) -%}
    {%- set has_contract = config.get('contract').enforced -%}
    {%- set is_one_statement = not (has_contract or pre_hooks or post_hooks) -%}
    {%- set ddl -%}
        {%- if has_contract -%}
            {{ get_assert_columns_equivalent(sql) -}}
            create or replace table {{ relation }} {{ table_columns_and_constraints() }};
            insert into {{ relation }} by name {{ sql }}
        {%- else -%}
            create or replace table {{ relation }} as {{ sql }}
        {%- endif -%}
    {%- endset -%}
    {%- do run_hooks(pre_hooks) -%}
    {#- DuckDB answers with the number of rows #}
    {%- set _, answer = adapter.execute(ddl, auto_begin=not is_one_statement, fetch=true) -%}
    {%- do tell_rows(answer.rows[0][0]) -%}
    {%- do run_hooks(post_hooks) -%}
    {%- if not is_one_statement -%}{%- do adapter.commit() -%}{%- endif -%}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}


{% materialization view, adapter='duckdb' %}
    {%- set relation = this.incorporate(type='view') -%}
    {%- do drop_what_is_no('view', relation) -%}
    {%- if config.get('contract').enforced -%}{%- do get_assert_columns_equivalent(sql) -%}{%- endif -%}
    {%- do run_hooks(pre_hooks) -%}
    {%- call statement('main', auto_begin=(pre_hooks or post_hooks) | length > 0) -%}
        create or replace view {{ relation }} as {{ sql }}
    {%- endcall -%}
    {%- do run_hooks(post_hooks) -%}
    {%- if pre_hooks or post_hooks -%}{%- do adapter.commit() -%}{%- endif -%}
    {{ return({'relations': [relation]}) }}
{% endmaterialization %}


{% macro drop_what_is_no(kind, relation) -%}
    {#- A view can't replace a table, nor a table a view. -#}
    {%- set existing = load_cached_relation(relation) -%}
    {%- if existing and existing.type != kind -%}{%- do adapter.drop_relation(existing) -%}{%- endif -%}
{%- endmacro %}
