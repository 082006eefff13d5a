-- One row per user who left a cart or a checkout behind on the date, with the last product and category of it.
{{ config(meta={
    'objective': 'Finish the order that was begun',
    'criteria': 'abandonment is cart or checkout',
    'offer': 'What is in the cart, and help with the checkout',
    'channels': ['push', 'email', 'whatsapp', 'sms'],
    'value': 8,
    'repeat_after_days': 7,
    'returns': ['product_id', 'category'],
    'needs': ['events.user_id'],
}) }}
select user_id, product_id, category
from {{ ref('fam_abandonment') }}
where segment in ('cart', 'checkout')
