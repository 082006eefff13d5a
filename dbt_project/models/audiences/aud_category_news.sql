-- One row per user with an affinity to a category that has a campaign.
{{ config(meta={
    'objective': 'News of the category that somebody cares for',
    'criteria': 'category_affinity is a category with a campaign in the seed category_settings',
    'offer': 'What is new in the category',
    'channels': ['email', 'push', 'web_push'],
    'value': 2,
    'repeat_after_days': 7,
    'returns': ['campaign_id', 'category'],
    'needs': ['events.category'],
}) }}
with

affinities as (

    select * from {{ ref('fam_category_affinity') }}

),

categories as (

    select * from {{ ref('category_settings') }} where news_campaign_id is not null

)

select
    affinities.user_id,
    categories.news_campaign_id as campaign_id,
    affinities.segment as category
from affinities
inner join categories on affinities.segment = categories.category
