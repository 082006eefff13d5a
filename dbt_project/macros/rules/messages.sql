{% macro message_flags() -%}
    {#- What may become of a message, and the flag of its events that says so; once true, it stays. -#}
    {{ return({
        'delivered': 'is_delivered', 'opened': 'is_open', 'clicked': 'is_click', 'failed': 'is_failed',
        'hard_bounced': 'is_hard_bounce', 'complained': 'is_complained', 'unsubscribed': 'is_unsubscribed',
    }) }}
{%- endmacro %}


{% macro message_moments() -%}
    {#- The latest moments of a message, and the flag of the events that they are of. -#}
    {{ return({
        'bounced_at': 'is_soft_bounce', 'arrived_at': 'is_arrival', 'last_reaction_at': 'is_reaction',
        'last_opened_at': 'is_open', 'last_clicked_at': 'is_click',
    }) }}
{%- endmacro %}


{% macro message_signal_names() -%}
    {#- The columns that message_signals() gives. -#}
    {%- set names = ['last_event_date'] -%}
    {%- for name in message_flags() -%}{%- do names.append(name ~ '_date') -%}{%- endfor -%}
    {{ return(names + message_moments().keys() | list) }}
{%- endmacro %}


{% macro delivery_signal_names() -%}
    {#- Those that nearly every message has: its events of delivery, and the date of its last event, say all of them. -#}
    {{ return(['last_event_date', 'delivered_date', 'arrived_at']) }}
{%- endmacro %}


{% macro message_signals(names=none) -%}
    {#-
        Aggregates of the classified events of a message, all or those named: the date of its last event; the first date of
        each thing that stays (<name>_date); the last moment of each thing that may be taken back or repeats.
    -#}
    {%- set signals = {'last_event_date': 'max(event_date)'} -%}
    {%- for name, flag in message_flags().items() -%}
        {%- do signals.update({name ~ '_date': 'min(case when ' ~ flag ~ ' then event_date end)'}) -%}
    {%- endfor -%}
    {%- for name, flag in message_moments().items() -%}
        {%- do signals.update({name: 'max(case when ' ~ flag ~ ' then occurred_at end)'}) -%}
    {%- endfor -%}
    {%- for name in names or message_signal_names() %}
        {{ signals[name] }} as {{ name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}
