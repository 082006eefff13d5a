-- One row per new or one-time visitor who has looked at products and not ordered yet.
{{ config(meta={
    'objective': 'A second visit, and the first order',
    'criteria': 'engagement is one_time or new, has viewed products and never ordered',
    'offer': 'A promotion on the first order',
    'channels': ['email', 'push', 'web_push'],
    'value': 3,
    'holdout_share': 0.1,
    'repeat_after_days': 14,
    'needs': ['events.user_id'],
}) }}
with

engagement as (

    select * from {{ ref('fam_engagement') }} where segment in ('one_time', 'new')

),

activity as (

    select * from {{ ref('int_user_activity') }} where product_views > 0

),

orders as (

    select * from {{ ref('int_user_orders') }}

)

select engagement.user_id
from engagement
inner join activity on engagement.user_id = activity.user_id
left join orders on engagement.user_id = orders.user_id
where orders.user_id is null
