-- One row per user who ordered on the date, with the time of the last order.
{{ config(meta={
    'objective': 'A good start with what was bought',
    'criteria': 'Ordered on the date',
    'offer': 'Thanks, delivery, how to use it, whom to ask; nothing to buy',
    'channels': ['email', 'push', 'sms'],
    'value': 0,
    'message_class': 'transactional',
    'each_order': True,
    'returns': ['since'],
    'needs': ['orders.order_id'],
}) }}
select user_id, max(ordered_at) as since
from {{ ref('int_recent_orders') }}
where order_date = {{ as_of() }}
group by user_id
