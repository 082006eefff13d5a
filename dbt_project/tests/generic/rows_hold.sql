{# Conditions that every row of a model must meet, in one query; null counts as broken. Returns each broken condition with its rows. #}
{% test rows_hold(model, conditions) %}
with counted as (
    select
        {%- for condition in conditions %}
        count(*) - count(case when {{ condition }} then 1 end) as broken_{{ loop.index }}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ model }}
)
{%- for condition in conditions %}
select '{{ condition | replace("'", "''") }}' as condition, broken_{{ loop.index }} as broken_rows
from counted
where broken_{{ loop.index }} > 0
{{ 'union all' if not loop.last }}
{%- endfor %}
{% endtest %}
