-- One row per known user: how much of what the caps allow is used up.
with

policy as (

    select * from {{ ref('int_user_policy_segment') }}

),

cap_use as (

    select * from {{ ref('int_user_cap_use') }}

),

last_contacts as (

    select user_id, max(contact_date) as last_contact_date
    from {{ ref('int_contact_days') }}
    where contacts > 0
    group by user_id

)

select
    policy.user_id,
    case
        when policy.policy_segment = 'fatigued' then 'fatigued'
        when cap_use.is_over_cap then 'over_cap'
        when cap_use.is_at_cap then 'at_cap'
        when cap_use.is_near_cap then 'near_cap'
        when
            last_contacts.user_id is null
            or {{ age('last_contacts.last_contact_date') }} >= {{ var('pressure_rested_days') }}
            then 'rested'
        else 'healthy'
    end as segment,
    policy.policy_segment
from policy
left join cap_use on policy.user_id = cap_use.user_id
left join last_contacts on policy.user_id = last_contacts.user_id
