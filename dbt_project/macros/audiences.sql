{% macro audiences() -%}
    {#-
        What the audiences say of themselves, a mapping each. audience_models() is written from the folder before dbt
        parses, since dbt takes no refs from a loop over its graph. Stops the compilation if a model of the folder is
        missing from the list.
    -#}
    {%- set listed = audience_models() -%}
    {#- unit tests have no graph -#}
    {%- if execute and graph.nodes is defined -%}
        {%- set names = listed | map(attribute='name') | list -%}
        {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name.startswith('aud_') -%}
            {%- if node.name[4:] not in names -%}
                {{ exceptions.raise_compiler_error(
                    "The audience " ~ node.name ~ " is not in the list of audiences. Run `make parse`, which writes it anew."
                ) }}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(listed) }}
{%- endmacro %}


{% macro text_literal(text) -%}
    {#- A text as SQL writes it; null stays null. -#}
    {%- if text is none -%} cast(null as string) {%- else -%} {{ dbt.string_literal(dbt.escape_single_quotes(text)) }} {%- endif -%}
{%- endmacro %}


{% macro joined_pairs(pairs) -%}
    {#- name:share|name:share, as the seed campaign_settings writes variants. -#}
    {%- set texts = [] -%}
    {%- for pair in pairs -%} {%- do texts.append(pair | join(':')) -%} {%- endfor -%}
    {{ return(texts | join('|') if texts else none) }}
{%- endmacro %}


{% macro list_part(text, number, separator='|') -%}
    {#- The n-th part of a text a|b|c; null beyond the last. -#}
    nullif(split_part({{ text }}, '{{ separator }}', {{ number }}), '')
{%- endmacro %}


{% macro eligibility_reasons() -%}
    {#- Why somebody can't be contacted on a channel, in the order in which the reasons are tried. -#}
    {{ return([
        'erased', 'do_not_contact', 'minor', 'inactive_too_long', 'no_address', 'duplicate_address', 'no_consent',
        'suppressed', 'blackout', 'post_purchase', 'min_gap', 'channel_cap', 'total_cap', 'fatigued',
    ]) }}
{%- endmacro %}


{% macro reason_place(reason) -%}
    {#- How late in the list of reasons one is. -#}
    case {{ reason }}
        {%- for known in eligibility_reasons() %} when '{{ known }}' then {{ loop.index }}{% endfor %}
    end
{%- endmacro %}


{% macro is_below(purpose, salt, user_id, share) -%}
    {#-
        Whether the hash u(purpose, user) is below a share: the first 8 hex digits of md5(purpose|salt|user_id), as an
        integer / 2^32, compared in whole numbers.
    -#}
    {{ hash_integer("concat(" ~ purpose ~ ", '|', " ~ salt ~ ", '|', " ~ user_id ~ ")") }} < {{ share }} * 4294967296
{%- endmacro %}


{% macro came_seldom_since_start(days) -%}
{#- Users who started so many days (from, to) before the plan date and came once at most, or not lately. -#}
with

starts as (

    select * from {{ ref('int_user_starts') }}

),

activity as (

    select * from {{ ref('int_user_activity') }}

)

select starts.user_id
from starts
left join activity on starts.user_id = activity.user_id
where
    {{ days_between('starts.start_date', plan_date()) }} between {{ days | join(' and ') }}
    and (
        coalesce(activity.visits, 0) <= 1
        or {{ age('activity.last_visit_date') }} >= {{ var('retention_silent_days') }}
    )
{%- endmacro %}
