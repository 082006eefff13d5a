-- One row per known user: how much and how often the user buys, compared with other buyers.
with

users as (

    select * from {{ ref('int_known_users') }}

),

rfm as (

    select * from {{ ref('rfm') }}

)

select
    users.user_id,
    case when rfm.user_id is null then 'no_orders' else {{ value_tier('rfm') }} end as segment
from users
left join rfm on users.user_id = rfm.user_id
