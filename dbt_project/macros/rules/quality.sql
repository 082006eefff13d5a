{% macro quality_measures() -%}
    {#- Measures of users by which families are judged; those that are `skewed` on a logarithmic scale, which starts at 0. -#}
    {{ return([
        {'name': 'visits_30d', 'is_skewed': true}, {'name': 'orders_365d', 'is_skewed': true},
        {'name': 'revenue_365d', 'is_skewed': true}, {'name': 'contacts_30d', 'is_skewed': true},
        {'name': 'click_rate_90d', 'is_skewed': false},
    ]) }}
{%- endmacro %}


{% macro profile_measures() -%}
    {#- Those by which a segment may stand out. -#}
    {{ return(quality_measures() + [
        {'name': 'open_rate_90d', 'is_skewed': false}, {'name': 'mean_order_value', 'is_skewed': true},
        {'name': 'age', 'is_skewed': false},
    ]) }}
{%- endmacro %}


{% macro scaled(measure, relation) -%}
    {#- A measure of a relation as it is compared: log1p of what is skewed. A decimal, so that sums don't depend on order. -#}
    {%- set value = relation ~ '.' ~ measure.name -%}
    {%- if measure.is_skewed -%}
    case when {{ value }} is not null then cast(ln(1 + cast(greatest({{ value }}, 0) as double)) as decimal(18, 12)) end
    {%- else -%}
    cast({{ value }} as decimal(18, 12))
    {%- endif -%}
{%- endmacro %}


{% macro share(value) -%}
    {#- A share as it is published: from 0 to 1 whatever rounding says; null stays null. -#}
    round(case when {{ value }} < 0 then 0 when {{ value }} > 1 then 1 else {{ value }} end, 6)
{%- endmacro %}


{% macro first_of(names) -%}
    {#- The name of the first column that is not null. -#}
    case {% for name in names %}when {{ name }} is not null then '{{ name }}' {% endfor %}end
{%- endmacro %}


{% macro attributes_needed() -%}
    {#- What data may lack, with the families and audiences that need it: (attribute, kind, name). -#}
    {%- set found = [] -%}
    {%- for family in family_models() -%}
        {%- for attribute in family.needs -%}{%- do found.append((attribute, 'family', family.name)) -%}{%- endfor -%}
    {%- endfor -%}
    {%- for audience in audiences() -%}
        {#- nobody is contacted without an address, nor with marketing without consent -#}
        {%- set needs = ['addresses.address'] + (['consents.status'] if audience.message_class == 'marketing' else []) -%}
        {%- for attribute in needs + audience.needs -%}{%- do found.append((attribute, 'audience', audience.name)) -%}{%- endfor -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
