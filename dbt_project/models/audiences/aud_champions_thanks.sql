-- One row per champion of RFM.
{{ config(meta={
    'objective': 'Keep the best customers close',
    'criteria': 'rfm is champions',
    'offer': 'Thanks and a first look at what is new; no discount',
    'channels': ['email', 'in_app', 'push'],
    'value': 4,
    'repeat_after_days': 30,
    'needs': ['orders.order_id', 'orders.currency'],
}) }}
select user_id
from {{ ref('fam_rfm') }}
where segment = 'champions'
