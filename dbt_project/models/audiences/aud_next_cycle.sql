-- One row per user whose pause after an order is over, with the time of that order.
{{ config(meta={
    'objective': 'Begin the next buying cycle after the pause that follows an order',
    'criteria': 'post_purchase is cycle_due',
    'offer': 'What goes with the last order',
    'channels': ['email', 'push'],
    'value': 6,
    'holdout_share': 0.1,
    'each_order': True,
    'returns': ['since'],
    'needs': ['orders.order_id'],
}) }}
with

users as (

    select * from {{ ref('fam_post_purchase') }} where segment = 'cycle_due'

),

orders as (

    select user_id, max(ordered_at) as since from {{ ref('int_recent_orders') }} group by user_id

)

select users.user_id, orders.since
from users
inner join orders on users.user_id = orders.user_id
