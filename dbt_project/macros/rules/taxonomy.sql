{% macro awareness_stages() -%}
    {#- The stages of the ladder, the highest first; events of `unaware` lift nobody. -#}
    {{ return(['most_aware', 'product_aware', 'solution_aware', 'problem_aware']) }}
{%- endmacro %}


{% macro stage_counts() -%}
    {%- set names = [] -%}
    {%- for stage in awareness_stages() -%}{%- do names.append(stage ~ '_events') -%}{%- endfor -%}
    {{ return(names) }}
{%- endmacro %}
