-- One row per known user: the cell of the RFM map that the user is in.
with

users as (

    select * from {{ ref('int_known_users') }}

),

rfm as (

    select * from {{ ref('rfm') }}

)

select
    users.user_id,
    coalesce(rfm.segment, 'no_orders') as segment
from users
left join rfm on users.user_id = rfm.user_id
