-- One row per (audience, campaign_id) that has a member: the settings of the campaign, those of the seed before those of the audience.
{{ config(database='build') }}

with

audiences as (

    select * from {{ ref('int_audiences') }}

),

members as (

    select distinct audience, campaign_id from {{ ref('int_audience_members') }}

),

settings as (

    select * from {{ ref('campaign_settings') }}

),

-- a campaign that nobody has told of is running, and an open start or end is no limit
times as (

    select
        campaign_id,
        coalesce({{ business_date('starts_at') }}, {{ start_of_time() }}) <= {{ plan_date() }}
        and coalesce({{ business_date('ends_at') }}, {{ end_of_time() }}) >= {{ plan_date() }} as is_in_time
    from {{ ref('stg_campaigns') }}
    where {{ known_on(as_of()) }}

)

select
    members.audience,
    members.campaign_id,
    audiences.message_class,
    audiences.each_order,
    audiences.drops_silent_channels,
    audiences.promotes_category,
    settings.value,
    coalesce(settings.channels, audiences.channels) as channels,
    coalesce(settings.variants, audiences.variants) as variants,
    coalesce(settings.salt, audiences.salt) as salt,
    coalesce(settings.holdout_share, audiences.holdout_share) as holdout_share,
    coalesce(settings.repeat_after_days, audiences.repeat_after_days) as repeat_after_days,
    coalesce(settings.max_sends, audiences.max_sends) as max_sends,
    coalesce(settings.max_per_day, audiences.max_per_day) as max_per_day,
    coalesce(settings.is_active, true) and coalesce(times.is_in_time, true) as is_running
from members
inner join audiences on members.audience = audiences.audience
left join settings on members.campaign_id = settings.campaign_id
left join times on members.campaign_id = times.campaign_id
