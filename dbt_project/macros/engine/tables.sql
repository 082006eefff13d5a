{#
    How Spark makes tables: Parquet files in a folder a table, below that of the target, so that what a killed run left
    there gives way to the next table of that name, and others read the files without Spark. Where no folder is given
    (a cluster), the catalog decides where they lie.
#}

{% macro spark__location_clause() -%}
    {{ location_of(this) }}
{%- endmacro %}

{% macro location_of(relation) -%}
    {%- set folder = env_var('BAROMETER_SPARK_TABLES', '') -%}
    {%- if folder %}location '{{ folder }}/{{ relation.schema }}/{{ relation.identifier }}'{% endif -%}
{%- endmacro %}

{% macro spark__file_format_clause() -%}
    using {{ config.get('file_format', 'parquet') }}
{%- endmacro %}

{% macro spark__create_table_as(temporary, relation, compiled_code, language='sql') -%}
    {#- Columns of a contract get the types that it names: Spark counts and subtracts in other widths. -#}
    create table {{ relation }}
    {{ file_format_clause() }}
    {{ partition_cols(label='partitioned by') }}
    {{ location_clause() }}
    as
    {% if config.get('contract').enforced -%}
    {%- do assert_columns_named(compiled_code) -%}
    select
        {%- for column in model.columns.values() %}
        cast({{ adapter.quote(column.name) }} as {{ engine_type(column.data_type) }}) as {{ adapter.quote(column.name) }}{{ ',' if not loop.last }}
        {%- endfor %}
    from (
    {{ compiled_code }}
    ) as built
    {%- else -%}
    {{ compiled_code }}
    {%- endif %}
{%- endmacro %}

{% macro spark__persist_constraints(relation, model) -%}
    {#- Parquet has none: they are those of the tables that are made of it for others. -#}
{%- endmacro %}

{% macro spark__get_assert_columns_equivalent(sql) -%}
    {%- do assert_columns_named(sql) -%}
{%- endmacro %}

{% macro assert_columns_named(sql) -%}
    {#- The columns of a query are those of the model's contract. -#}
    {%- set found = get_columns_in_query(sql) | map('lower') | sort -%}
    {%- set wanted = model.columns.values() | map(attribute='name') | map('lower') | sort -%}
    {%- if found != wanted -%}
        {%- do exceptions.raise_compiler_error(
            'The contract of ' ~ model.name ~ ' is broken: it has the columns ' ~ found | join(', ') ~ ', and should have '
            ~ wanted | join(', ')
        ) -%}
    {%- endif -%}
{%- endmacro %}


{% macro spark__create_csv_table(model, agate_table) -%}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set sql -%}
        create table {{ this.render() }}
        {{ file_format_clause() }}
        {{ location_clause() }}
        as
        select
            {%- for name in agate_table.column_names %}
            cast(null as {{ engine_type(types[name]) }}) as {{ adapter.quote(name) }}{{ ',' if not loop.last }}
            {%- endfor %}
        where false
    {%- endset -%}
    {%- call statement('_') -%}{{ sql }}{%- endcall -%}
    {{ return(sql) }}
{%- endmacro %}

{% macro spark__load_csv_rows(model, agate_table) -%}
    {%- set types = model['config'].get('column_types', {}) -%}
    {%- set sql -%}
        insert into {{ this.render() }}
        values
            {%- for row in agate_table.rows %}
            ({% for name in agate_table.column_names -%}
                cast({{ seed_value(row[name]) }} as {{ engine_type(types[name]) }}){{ ', ' if not loop.last }}
            {%- endfor %}){{ ',' if not loop.last }}
            {%- endfor %}
    {%- endset -%}
    {%- do adapter.add_query(sql, abridge_sql_log=True) -%}
    {{ return(sql) }}
{%- endmacro %}

{% macro seed_value(value) -%}
    {%- if value is none -%} null
    {%- else -%} '{{ value | string | replace('\\', '\\\\') | replace("'", "\\'") }}'
    {%- endif -%}
{%- endmacro %}


{% macro limit_memory() -%}
    {#-
        The most memory that the engine takes, where BAROMETER_MEMORY_LIMIT says it. Set when a run starts and not in the
        profile: dbt parses everything again where a profile differs.
    -#}
    {%- if execute and env_var('BAROMETER_MEMORY_LIMIT', '') -%}
        {{ adapter.dispatch('limit_memory', 'barometer')(env_var('BAROMETER_MEMORY_LIMIT')) }}
    {%- endif -%}
{%- endmacro %}

{% macro duckdb__limit_memory(limit) -%} set memory_limit = '{{ limit | replace("'", "''") }}' {%- endmacro %}

{% macro spark__limit_memory(limit) -%}{#- The session has its own. -#}{%- endmacro %}


{#- In the place of dbt-duckdb's, which knows no parts; headers and layouts of other catalogs, which rollups have none of, are not looked at. -#}
{% macro duckdb__create_table_as(temporary, relation, compiled_code, language='sql', partitioned_by=none, sorted_by=none) -%}
    {%- if config.get('contract').enforced -%}
        {{ exceptions.raise_compiler_error(this ~ ': a contract of a rollup would not be checked') }}
    {%- endif -%}
    {%- set built_by = config.get('meta', {}).get('built_by_month_of') -%}
    {%- if temporary -%}
        create temporary table {{ relation.include(database=false, schema=false) }} as
        {{ compiled_code }}
    {%- else -%}
        {%- for from, until in (parts_of(built_by) if built_by else [(part_from(), part_until())]) -%}
            {{ 'create table ' ~ relation ~ ' as' if loop.first else '; insert into ' ~ relation }}
            {{ compiled_code | replace(part_from() | trim, from | trim) | replace(part_until() | trim, until | trim) }}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
