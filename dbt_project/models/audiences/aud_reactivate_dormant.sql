-- One row per dormant user.
{{ config(meta={
    'objective': 'Wake people who have not come for more than a month',
    'criteria': 'engagement is dormant',
    'offer': 'What has changed since the last visit; no discount',
    'channels': ['push', 'email', 'web_push'],
    'value': 2,
    'holdout_share': 0.1,
    'variants': {'reminder': 0.5, 'news': 0.5},
    'repeat_after_days': 30,
    'drops_silent_channels': True,
    'needs': ['events.user_id', 'message_events.event'],
}) }}
select user_id
from {{ ref('fam_engagement') }}
where segment = 'dormant'
