{% macro share_of(part, whole) -%}
    {#- A published share of two counts; null where there is nothing to be a share of. -#}
    round(cast({{ part }} as double) / nullif({{ whole }}, 0), 6)
{%- endmacro %}
