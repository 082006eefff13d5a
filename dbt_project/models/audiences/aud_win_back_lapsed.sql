-- One row per lapsed buyer.
{{ config(meta={
    'objective': 'Win back buyers who have not ordered for half a year',
    'criteria': 'lifecycle is lapsed',
    'offer': 'An incentive for the next order',
    'channels': ['email', 'push', 'sms'],
    'value': 5,
    'holdout_share': 0.1,
    'repeat_after_days': 30,
    'max_sends': 3,
    'needs': ['orders.order_id'],
}) }}
select user_id
from {{ ref('fam_lifecycle') }}
where segment = 'lapsed'
