-- One row per known user: how near to buying the user looks, by what happened since the last order.
with

users as (

    select * from {{ ref('int_known_users') }}

),

leads as (

    select * from {{ ref('int_user_lead_score') }}

)

select
    users.user_id,
    case
        when
            leads.lead_score >= {{ var('lead_hot_score') }}
            or leads.product_view_dates >= {{ var('lead_hot_view_dates') }}
            then 'hot'
        when leads.lead_score >= {{ var('lead_warm_score') }} then 'warm'
        else 'cold'
    end as segment,
    coalesce(leads.lead_score, 0) as lead_score
from users
left join leads on users.user_id = leads.user_id
