-- One row per hot lead who has not ordered lately and does not buy anyway.
{{ config(meta={
    'objective': 'An order from those who are about to decide',
    'criteria': 'lead_temperature is hot, no order in the last ' ~ var('hot_lead_order_days') ~ ' days, rfm neither champions nor loyal: who buys anyway gets no discount',
    'offer': 'A coupon that ends soon',
    'channels': ['push', 'email', 'sms'],
    'value': 7,
    'holdout_share': 0.1,
    'repeat_after_days': 14,
    'needs': ['events.user_id'],
}) }}
with

leads as (

    select * from {{ ref('fam_lead_temperature') }} where segment = 'hot'

),

scores as (

    select * from {{ ref('fam_rfm') }}

),

orders as (

    select * from {{ ref('int_user_orders') }}

)

select leads.user_id
from leads
left join scores on leads.user_id = scores.user_id
left join orders on leads.user_id = orders.user_id
where
    coalesce({{ age('orders.last_order_date') }} >= {{ var('hot_lead_order_days') }}, true)
    and coalesce(scores.segment not in ('champions', 'loyal'), true)
