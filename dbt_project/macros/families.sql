{% macro families() -%}
    {#-
        Names of all segment families: family_models() is written from the folder before dbt parses, since dbt takes
        no refs from a loop over its graph. Stops the compilation if a model of the folder is missing from the list.
    -#}
    {%- set listed = family_models() -%}
    {%- if execute -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name.startswith('fam_') -%}
            {%- if node.name[4:] not in listed -%}
                {{ exceptions.raise_compiler_error(
                    "The family " ~ node.name ~ " is not in the list of families. Run `make parse`, which writes it anew."
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(listed) }}
{%- endmacro %}
