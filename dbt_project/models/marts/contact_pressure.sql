-- One row per known user: contacts of all channels together, as of the date. Shares and decayed sums of users do not add up.
with

users as (

    select * from {{ ref('int_known_users') }}

),

days as (

    select * from {{ ref('int_contact_days') }}

),

signals as (

    select * from {{ ref('int_negative_signals') }}
    where {{ age('signal_date') }} < {{ var('negative_signal_days') }}

),

measured as (

    select
        user_id,
        {{ pressure_measures() }}
    from days
    group by user_id

),

negative as (

    select
        user_id,
        {{ signal_counts() }}
    from signals
    group by user_id

)

select
    users.user_id,
    {{ as_of() }} as as_of,
    coalesce(measured.contacts_1d, 0) as contacts_1d,
    coalesce(measured.contacts_7d, 0) as contacts_7d,
    coalesce(measured.contacts_30d, 0) as contacts_30d,
    measured.days_since_last_contact,
    coalesce(measured.decayed_pressure, 0) as decayed_pressure,
    coalesce(measured.contacts_since_reaction, 0) as contacts_since_reaction
    {%- for days in var('response_days') %},
    measured.open_share_{{ days }}d,
    measured.click_share_{{ days }}d
    {%- endfor %},
    coalesce(measured.uncounted_messages_7d, 0) as uncounted_messages_7d,
    coalesce(measured.uncounted_messages_30d, 0) as uncounted_messages_30d
    {%- for _, name in signal_kinds() %},
    coalesce(negative.{{ name }}, 0) as {{ name }}
    {%- endfor %}
from users
left join measured on users.user_id = measured.user_id
left join negative on users.user_id = negative.user_id
