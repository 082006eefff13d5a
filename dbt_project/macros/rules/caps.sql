{% macro caps_left(left) -%}
    {#- Over the fitting rows of the contact policy, called `policy`: the room that they leave. `left` is what one leaves. -#}
    cast(greatest(min({{ left }}), 0) as bigint) as headroom,
    bool_or(policy.max_contacts = 0) as is_never,
    bool_or(policy.policy_segment <> 'fatigued' and {{ left }} <= 0) as is_used_up,
    bool_or(policy.policy_segment = 'fatigued' and {{ left }} <= 0) as is_used_up_by_fatigue
{%- endmacro %}


{% macro dose_arm(user_id, salt, share) -%}
    {#- The arm of the dose test: two arms of one share each, by the hash u('dose', user). -#}
    case
        when {{ is_below("'dose'", salt, user_id, share) }} then 'low'
        when {{ is_below("'dose'", salt, user_id, "2 * " ~ share) }} then 'high'
        else 'control'
    end
{%- endmacro %}


{% macro arm_cap(policy, users) -%}
    {#-
        The most that a row of the contact policy allows a user: in an arm of the dose test one less or one more than it
        says. No arm makes a cap of 0 or lifts one, and the caps of the fatigued protect them in all arms.
    -#}
    case
        when {{ users }}.policy_segment = 'fatigued' then {{ policy }}.max_contacts
        when {{ users }}.dose_arm = 'low' and {{ policy }}.max_contacts > 1 then {{ policy }}.max_contacts - 1
        when {{ users }}.dose_arm = 'high' and {{ policy }}.max_contacts > 0 then {{ policy }}.max_contacts + 1
        else {{ policy }}.max_contacts
    end
{%- endmacro %}


{% macro cap_in_words(contacts) -%}
    {#- The use of a cap, `7d 3/5`: window, contacts in it, the most that may be. -#}
    concat(cast(policy.window_days as string), 'd ', cast({{ contacts }} as string), '/', cast(policy.max_contacts as string))
{%- endmacro %}


{% macro cap_order() -%}
    {{ ordering(['policy.window_days', 'policy.max_contacts']) }}
{%- endmacro %}


{% macro of_person(relation, columns) -%}
    {#-
        Rows by user and channel, and once more for the user who is meant by an address that several have: contacts on it
        are those of that person. `columns` are the others of the relation.
    -#}
    select user_id, channel, {{ columns | join(', ') }} from {{ relation }}

    union all

    select
        shared.elected_user_id as user_id,
        rows_of_mates.channel
        {%- for column in columns %},
        rows_of_mates.{{ column }}
        {%- endfor %}
    from {{ relation }} as rows_of_mates
    inner join {{ ref('int_shared_addresses') }} as shared
        on rows_of_mates.user_id = shared.user_id and rows_of_mates.channel = shared.channel
    where shared.elected_user_id <> shared.user_id
{%- endmacro %}
