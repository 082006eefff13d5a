{#
    The incremental rule. Every incremental model M has a companion table that lists the keys which rows loaded since
    M's own watermark touch. M selects the new rows of exactly these keys; this strategy deletes the touched keys and
    inserts the new rows, and a hook of the same transaction moves the watermark. So a run that dies between two
    models loses no touch, and a key whose rows are gone upstream loses them here too.
#}

{% macro get_incremental_touched_sql(arg_dict) -%}
    {{ adapter.dispatch('get_incremental_touched_sql', 'barometer')(arg_dict) }}
{%- endmacro %}

{% macro duckdb__get_incremental_touched_sql(arg_dict) -%}
    {%- set columns = arg_dict['dest_columns'] | map(attribute='quoted') | join(', ') -%}
    {%- set keys = config.get('meta')['touched_keys'] -%}
    delete from {{ arg_dict['target_relation'] }} as target
    using {{ ref(config.get('meta')['touched_by']) }} as touched
    where {% for key in keys %}{{ 'and ' if not loop.first }}target.{{ key }} = touched.{{ key }} {% endfor %};
    insert into {{ arg_dict['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arg_dict['temp_relation'] }};
{%- endmacro %}


{% macro move_watermark(model_name) -%}
    {#- To be a post-hook of the model's transaction: everything loaded so far is in the model now. -#}
    delete from {{ source('control', 'watermarks').render() }} where model_name = '{{ model_name }}';
    insert into {{ source('control', 'watermarks').render() }}
    select '{{ model_name }}', max_load_id from {{ source('control', 'run_context') }}
{%- endmacro %}


{% macro loaded_since(model_name, load_id='load_id') -%}
    {#- Rows loaded since the model's watermark. Before its first build there is none, and nothing is touched: all is built. -#}
    {{ load_id }} > (
        select coalesce(max(load_id), 9223372036854775807)
        from {{ source('control', 'watermarks') }} where model_name = '{{ model_name }}'
    )
{%- endmacro %}


{% macro only_touched(keys, touched, alias='source') -%}
    {#- Limits an incremental run to the touched keys; a full build reads everything. -#}
    {%- if is_incremental() %}
    where exists (
        select 1 from {{ touched }} as touched
        where {% for key in keys %}{{ 'and ' if not loop.first }}touched.{{ key }} = {{ alias }}.{{ key }} {% endfor %}
    )
    {%- endif %}
{%- endmacro %}


{% macro touched_keys_of(dataset, model_name, key) -%}
    {#- The keys of a versioned dataset that new rows, and rows that an erasure took away, touch. -#}
    select distinct touched.{{ key }}
    from (
        select {{ key }}, load_id from {{ source('raw', dataset) }}
        union all
        select key_id as {{ key }}, load_id from {{ source('raw', 'touches') }} where dataset = '{{ dataset }}'
    ) as touched
    where {{ loaded_since(model_name) }}
{%- endmacro %}
