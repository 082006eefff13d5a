{% macro families(of='published') -%}
    {#-
        Names of segment families: the published ones, or `all`, or the `declared` among the published. family_models()
        is written from the folder before dbt parses, since dbt takes no refs from a loop over its graph. Stops the
        compilation if a model of the folder is missing from the list.
    -#}
    {%- set listed = family_models() -%}
    {#- unit tests have no graph -#}
    {%- if execute and graph.nodes is defined -%}
        {%- set names = listed | map(attribute='name') | list -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name.startswith('fam_') -%}
            {%- if node.name[4:] not in names -%}
                {{ exceptions.raise_compiler_error(
                    "The family " ~ node.name ~ " is not in the list of families. Run `make parse`, which writes it anew."
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {%- set chosen = [] -%}
    {%- for family in listed if of == 'all' or (family.is_published and (of == 'published' or family.is_declared)) -%}
        {%- do chosen.append(family.name) -%}
    {%- endfor -%}
    {{ return(chosen) }}
{%- endmacro %}


{% macro beside(family, column, type) -%}
    {#- What stands beside a family in user_360; null where the family is not published. -#}
    {{ 'fam_' ~ family ~ '.' ~ column if family in families() else 'cast(null as ' ~ type ~ ')' }}
{%- endmacro %}


{% macro segments_of_users() -%}
    {#- The query of user_segments, for tables that are made before that view is. -#}
{%- for family in families() -%}
select
    user_id,
    '{{ family }}' as family,
    {{ family }} as segment,
    as_of
from {{ ref('user_360') }}
{{- '\n\nunion all\n\n' if not loop.last }}
{%- endfor %}
{%- endmacro %}
