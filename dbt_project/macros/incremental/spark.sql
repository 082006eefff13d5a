{#
    The incremental rule where tables are Parquet files in partitions: there is no delete and no transaction. Each
    incremental model is partitioned by the month of its touched keys, or, where they have no date, by a hash of them. A
    run writes each partition anew that a touched key is in: its other rows as they were, and the new rows of the
    touched keys. A partition of which no row is left is emptied first: an overwrite leaves alone what it has no row for.
    Rows come first, the watermark after them: a run that dies between the two does the same once more, and gets the same.
#}

{% macro begin_run() -%}
    {{ adapter.dispatch('begin_run', 'barometer')() }}
{%- endmacro %}

{% macro duckdb__begin_run() -%}{%- endmacro %}

{% macro spark__begin_run() -%}
    {#-
        Makes tables of the files that the pipeline has written for this run, and drops incremental models without a
        watermark: they are built in full.
    -#}
    {%- if execute and flags.WHICH in ('run', 'build', 'test', 'seed') -%}
        {%- set folder = env_var('BAROMETER_SPARK_TABLES') -%}
        {%- for schema in ['raw', 'control'] -%}
            {%- do run_query('create schema if not exists ' ~ schema) -%}
        {%- endfor -%}
        {%- for source in graph.sources.values() if source.schema in ['raw', 'control'] and source.name != 'watermarks' -%}
            {%- do register_files(source.schema ~ '.' ~ source.name, folder ~ '/' ~ source.schema ~ '/' ~ source.name) -%}
        {%- endfor -%}
        {%- do run_query(
            'create table if not exists control.watermarks (load_id bigint, model_name string) using parquet '
            ~ "partitioned by (model_name) location '" ~ folder ~ "/control/watermarks'"
        ) -%}
        {%- set held = run_query('select model_name from control.watermarks').columns[0].values() -%}
        {%- for node in graph.nodes.values()
            if node.resource_type == 'model' and node.config.materialized == 'incremental' and node.name not in held -%}
            {%- set relation = load_relation(api.Relation.create(schema=node.schema, identifier=node.alias)) -%}
            {%- if relation -%}{%- do adapter.drop_relation(relation) -%}{%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}

{% macro register_files(table, folder) -%}
    {%- do run_query('create table if not exists ' ~ table ~ " using parquet location '" ~ folder ~ "'") -%}
{%- endmacro %}


{% macro spark__move_watermark(model_name, held) -%}
    insert overwrite table {{ source('incremental', 'watermarks').render() }} with ('partitionOverwriteMode' = 'dynamic')
    select load_id, model_name from ({{ held }}) as held
{%- endmacro %}


{% macro partition_of(keys) -%}
    {#- The partition that rows of some keys are in, as an expression: a month where a key is a date. -#}
    {%- set dates = [] -%}
    {%- for key in keys if key.endswith('_date') -%}{%- do dates.append(key) -%}{%- endfor -%}
    {%- if dates -%} cast(trunc({{ dates[0] }}, 'MM') as date)
    {%- else -%} cast(pmod(crc32({{ keys[0] }}), 16) as int)
    {%- endif -%}
{%- endmacro %}


{% materialization incremental, adapter='spark' -%}
    {%- set keys = config.get('meta')['touched_keys'] -%}
    {%- set target = this.incorporate(type='table') -%}
    {%- set existing = load_cached_relation(this) -%}
    {%- set rows -%}
        select built.*, {{ partition_of(keys) }} as key_part
        from (
        {{ compiled_code }}
        ) as built
    {%- endset -%}

    {{ run_hooks(pre_hooks) }}

    {%- if existing is none or should_full_refresh() -%}
        {%- if existing -%}{%- do adapter.drop_relation(existing) -%}{%- endif -%}
        {%- call statement('main') -%}
            create table {{ target }}
            {{ file_format_clause() }}
            partitioned by (key_part)
            {{ location_clause() }}
            as
            {{ rows }}
            distribute by key_part
        {%- endcall -%}
    {%- else -%}
        {%- set fresh = this.incorporate(path={'identifier': this.identifier ~ '__new'}, type='table') -%}
        {%- do run_query('drop table if exists ' ~ fresh) -%}
        {%- call statement('main') -%}
            create table {{ fresh }}
            {{ file_format_clause() }}
            {{ location_of(fresh) }}
            as
            {{ rows }}
        {%- endcall -%}
        {%- set replacing = get_incremental_touched_sql({'target_relation': target, 'temp_relation': fresh}) -%}
        {%- if replacing | trim -%}{%- do run_query(replacing) -%}{%- endif -%}
        {%- do run_query('drop table if exists ' ~ fresh) -%}
    {%- endif -%}

    {{ run_hooks(post_hooks) }}

    {{ return({'relations': [target]}) }}
{%- endmaterialization %}


{% macro spark__get_incremental_touched_sql(arg_dict) -%}
    {%- set target, fresh = arg_dict['target_relation'], arg_dict['temp_relation'] -%}
    {%- set touched = ref(config.get('meta')['touched_by']) -%}
    {%- set keys = config.get('meta')['touched_keys'] -%}
    {%- set parts = [] -%}
    {%- for part in run_query('select distinct ' ~ partition_of(keys) ~ ' from ' ~ touched).columns[0].values() if part is not none -%}
        {%- do parts.append("'" ~ part ~ "'") -%}
    {%- endfor -%}
    {%- if parts -%}
        {#- as the table has them: its partition is last -#}
        {%- set columns = get_columns_in_query('select * from ' ~ target) | reject('equalto', 'key_part') | list -%}
        {%- set names = [] -%}
        {%- for column in columns -%}{%- do names.append(adapter.quote(column)) -%}{%- endfor -%}
        {%- set names = names | join(', ') -%}
        {%- set after -%}
            select {{ names }}, key_part from {{ target }} as kept
            where key_part in ({{ parts | join(', ') }}) and not exists (
                select 1 from {{ touched }} as touched
                where {% for key in keys %}{{ 'and ' if not loop.first }}touched.{{ key }} = kept.{{ key }} {% endfor %}
            )
            union all
            select {{ names }}, key_part from {{ fresh }}
        {%- endset -%}
        {%- set emptied = run_query(
            'select distinct key_part from ' ~ target ~ ' where key_part in (' ~ (parts | join(', ')) ~ ')'
            ~ ' except select key_part from (' ~ after ~ ') as after'
        ).columns[0].values() -%}
        {%- for part in emptied -%}
            {%- do run_query(
                'insert overwrite table ' ~ target ~ " partition (key_part = '" ~ part ~ "') "
                ~ 'select ' ~ names ~ ' from ' ~ fresh ~ ' where false'
            ) -%}
        {%- endfor -%}
        insert overwrite table {{ target }} with ('partitionOverwriteMode' = 'dynamic')
        select {{ names }}, key_part from ({{ after }}) as after
        distribute by key_part
    {%- endif -%}
{%- endmacro %}
