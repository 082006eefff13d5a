{#
    The incremental rule. Every incremental model M has a companion table that lists the keys which rows loaded since
    M's own watermark touch. M selects the new rows of exactly these keys; this strategy deletes the touched keys and
    inserts the new rows, and a hook of the same transaction moves the watermark. So a run that dies between two
    models loses no touch, and a key whose rows are gone upstream loses them here too. The companion has a watermark of
    its own: a model never claims to hold what its companion did not list.
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
    {#-
        To be a post-hook of the model's transaction: what the model holds now. That is everything loaded so far, or
        less where a model that it reads lags behind, as when somebody materialises one asset alone.
    -#}
    {%- set parents = [] -%}
    {%- for parent in model.depends_on.nodes -%}{%- do parents.append("'" ~ parent.split('.')[-1] ~ "'") -%}{%- endfor -%}
    {%- set held -%}
    select
        '{{ model_name }}' as model_name,
        coalesce(
            least(max_load_id, (
                select min(load_id) from {{ source('incremental', 'watermarks').render() }}
                where model_name in ({{ (parents or ["''"]) | join(', ') }})
            )),
            max_load_id
        ) as load_id
    from {{ source('control', 'run_context') }}
    {%- endset -%}
    {{ adapter.dispatch('move_watermark', 'barometer')(model_name, held) }}
{%- endmacro %}

{% macro duckdb__move_watermark(model_name, held) %}
    delete from {{ source('incremental', 'watermarks').render() }} where model_name = '{{ model_name }}';
    insert into {{ source('incremental', 'watermarks').render() }}
    {{ held }}
{%- endmacro %}


{% macro loaded_since(models, load_id='load_id') -%}
    {#-
        Rows loaded since the watermark of a model, or since the earliest of several that share one list of touched keys.
        A model without one is built in full and needs no list; if none has one, nothing is touched.
    -#}
    {%- set names = [models] if models is string else models -%}
    {{ load_id }} > (
        select coalesce(min(load_id), 9223372036854775807)
        from {{ source('incremental', 'watermarks') }}
        where model_name in ({% for name in names %}'{{ name }}'{{ ', ' if not loop.last }}{% endfor %})
    )
{%- endmacro %}


{% macro only_touched(keys, touched, alias='source', part=none) -%}
    {#-
        Limits an incremental run to the touched keys; a full build reads everything, or a `part` of it, by that date (and
        the time that the date is made from). A list of keys and no `exists`: with two keys an engine may keep every row of
        the source for that, to look at it once more.
    -#}
    {%- if is_incremental() %}
    where ({% for key in keys %}{{ ', ' if not loop.first }}{{ alias }}.{{ key }}{% endfor %}) in (
        select {{ keys | join(', ') }} from {{ touched }}
    )
    {%- elif part %}
    where {{ in_part(alias, *part) }}
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


{% macro where_changed(relation, columns) -%}
    {#-
        Limits a check of keys to those that may have a row more than at the last run whose checks passed: of an incremental
        model that was checked then and not built whole since, those of its touched keys. Of any other, all.
    -#}
    {%- set checked = source('incremental', 'checked_models') -%}
    {%- if execute and flags.WHICH in ('build', 'test') -%}
        {%- set node = graph.nodes.get('model.barometer.' ~ relation.identifier) -%}
        {%- if node and node.config.materialized == 'incremental'
            and run_query('select 1 from ' ~ checked ~ " where model_name = '" ~ node.name ~ "'").rows | length -%}
            {%- set keys = node.config.meta['touched_keys'] | join(', ') -%}
            {%- set touched = '(' ~ keys ~ ') in (select ' ~ keys ~ ' from '
                ~ graph.nodes['model.barometer.' ~ node.config.meta['touched_by']].relation_name ~ ')' -%}
            {%- if node.config.meta['touched_keys'] | reject('in', columns) | list -%}
                {%- set key = columns | join(', ') -%}
                where ({{ key }}) in (select {{ key }} from {{ relation }} where {{ touched }})
            {%- else -%}
                where {{ touched }}
            {%- endif -%}
        {%- endif -%}
    {%- endif -%}
{%- endmacro %}
