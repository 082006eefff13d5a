-- One row per user who looked at products or searched, and left on the date, with the last product and category of it.
{{ config(meta={
    'objective': 'Come back to what was looked at',
    'criteria': 'abandonment is product or search',
    'offer': 'What was looked at, and what is like it',
    'channels': ['push', 'email', 'web_push'],
    'value': 4,
    'repeat_after_days': 7,
    'returns': ['product_id', 'category'],
    'needs': ['events.user_id'],
}) }}
select user_id, product_id, category
from {{ ref('fam_abandonment') }}
where segment in ('product', 'search')
