-- One row per (user_id, audience, campaign_id, channel): the channels of a candidate, in the order in which they are tried, and why one can't be used.
{{ config(database='build') }}

with

candidates as (

    select * from {{ ref('int_candidates') }} where fall_out is null

),

campaigns as (

    select * from {{ ref('int_campaigns') }}

),

campaign_channels as (

    select
        campaigns.audience,
        campaigns.campaign_id,
        campaigns.drops_silent_channels,
        numbers.n as position,
        {{ list_part('campaigns.channels', 'numbers.n') }} as channel
    from campaigns
    cross join {{ series(1, 50) }} as numbers

),

response as (

    select * from {{ ref('int_channel_response') }}

),

options as (

    select
        candidates.user_id,
        candidates.audience,
        candidates.campaign_id,
        candidates.message_class,
        campaign_channels.channel,
        campaign_channels.position,
        case
            when coalesce(response.contacts, 0) < {{ var('response_min_contacts') }} then 2
            when response.clicked_contacts > 0 then 1
            else 3
        end as standing,
        cast(response.clicked_contacts as double) / response.contacts as click_share
    from candidates
    inner join campaign_channels
        on
            candidates.audience = campaign_channels.audience
            and candidates.campaign_id = campaign_channels.campaign_id
    left join response
        on candidates.user_id = response.user_id and campaign_channels.channel = response.channel
    where
        candidates.carried_channel is null
        and campaign_channels.channel is not null
        and not (
            campaign_channels.drops_silent_channels
            and coalesce(response.contacts, 0) >= {{ var('response_min_contacts') }}
            and response.opened_contacts = 0
            and response.clicked_contacts = 0
        )

    union all

    -- what a list of the plan date carries already stays on its channel, while that is one of the campaign's
    select
        candidates.user_id,
        candidates.audience,
        candidates.campaign_id,
        candidates.message_class,
        candidates.carried_channel as channel,
        1 as position,
        1 as standing,
        cast(null as double) as click_share
    from candidates
    inner join campaign_channels
        on
            candidates.audience = campaign_channels.audience
            and candidates.campaign_id = campaign_channels.campaign_id
            and candidates.carried_channel = campaign_channels.channel

)

select
    options.user_id,
    options.audience,
    options.campaign_id,
    options.channel,
    cast(row_number() over (
        partition by options.user_id, options.audience, options.campaign_id
        order by
            options.standing,
            case when options.standing = 1 then options.click_share end desc,
            options.position
    ) as integer) as preference,
    case when options.message_class = 'marketing' then eligibility.reason else eligibility.service_reason end as reason
from options
inner join {{ ref('channel_eligibility') }} as eligibility
    on options.user_id = eligibility.user_id and options.channel = eligibility.channel
