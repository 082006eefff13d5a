{% macro share_of(part, whole) -%}
    {#- A published share of two counts; null where there is nothing to be a share of. -#}
    round(cast({{ part }} as double) / nullif({{ whole }}, 0), 6)
{%- endmacro %}


{% macro splits_users(variants, holdout_share) -%}
    {#- Whether settings make a test: two variants at least, or a holdout. -#}
    (coalesce({{ variants }}, '') like '%|%' or {{ holdout_share }} > 0)
{%- endmacro %}
