-- One row per user whose subscription is likely to end.
{{ config(meta={
    'objective': 'Renew a subscription that is likely to end',
    'criteria': 'subscription is renewal_risk',
    'offer': 'What the subscription brought so far, and a person to talk to',
    'channels': ['email', 'push', 'sms', 'voice'],
    'value': 10,
    'repeat_after_days': 30,
    'needs': ['subscriptions.renews_at'],
}) }}
select user_id
from {{ ref('fam_subscription') }}
where segment = 'renewal_risk'
