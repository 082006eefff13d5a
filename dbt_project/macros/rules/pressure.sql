{% macro contacts_in(days, date='contact_date', value='contacts') -%}
    {#- Contacts of the last n days: ages 0 to n - 1. -#}
    cast(coalesce(sum(case when {{ age(date) }} < {{ days }} then {{ value }} end), 0) as bigint)
{%- endmacro %}


{% macro pressure_measures() -%}
    {#- The measures of contact pressure over rows of int_contact_days, in the order of the marts. -#}
    {{ contacts_in(1) }} as contacts_1d,
    {{ contacts_in(var('pressure_short_days')) }} as contacts_7d,
    {{ contacts_in(var('pressure_month_days')) }} as contacts_30d,
    {{ age('max(case when contacts > 0 then contact_date end)') }} as days_since_last_contact,
    {#- a product of decimals keeps its digits on any engine where it has at most 38 #}
    cast(
        round(coalesce(sum(cast(contacts * intrusiveness as decimal(18, 3)) * factor), 0), 6) as double
    ) as decayed_pressure,
    cast(coalesce(sum(contacts_since_reaction), 0) as bigint) as contacts_since_reaction
    {%- for days in var('response_days') %},
    {{ share_of_contacts('opened_contacts', days) }} as open_share_{{ days }}d,
    {{ share_of_contacts('clicked_contacts', days) }} as click_share_{{ days }}d
    {%- endfor %},
    {{ contacts_in(var('pressure_short_days'), value='uncounted_messages') }} as uncounted_messages_7d,
    {{ contacts_in(var('pressure_month_days'), value='uncounted_messages') }} as uncounted_messages_30d
{%- endmacro %}


{% macro share_of_contacts(measure, days) -%}
    {#- A planned contact without a log may not have been sent: nobody can have opened it. -#}
    round(
        cast({{ contacts_in(days, value=measure) }} as double) / nullif({{ contacts_in(days, value='logged_contacts') }}, 0), 6
    )
{%- endmacro %}


{% macro signal_kinds() -%}
    {{ return([
        ('unsubscribe', 'unsubscribes_90d'), ('complaint', 'complaints_90d'), ('push_off', 'push_offs_90d'),
        ('uninstall', 'uninstalls_90d'), ('hard_bounce', 'hard_bounces_90d'),
    ]) }}
{%- endmacro %}


{% macro signal_counts() -%}
    {%- for signal, name in signal_kinds() %}
    cast(coalesce(sum(case when signal = '{{ signal }}' then signals end), 0) as bigint) as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
