-- One row per (user_id, audience, campaign_id) that matches an audience: whether it falls out before the caps are asked, and why.
{{ config(database='build') }}

with

campaigns as (

    select * from {{ ref('int_campaigns') }}

),

members as (

    select
        members.user_id,
        members.audience,
        members.campaign_id,
        members.product_id,
        members.category,
        members.since,
        campaigns.message_class,
        cast(coalesce(campaigns.value, members.value) as decimal(18, 2)) as value,
        campaigns.salt,
        campaigns.holdout_share,
        campaigns.each_order,
        campaigns.promotes_category,
        campaigns.repeat_after_days,
        campaigns.max_sends,
        campaigns.max_per_day,
        campaigns.is_running
    from {{ ref('int_audience_members') }} as members
    inner join campaigns
        on members.audience = campaigns.audience and members.campaign_id = campaigns.campaign_id

),

planned as (

    select * from {{ ref('int_planned_contacts') }}

),

-- messages of these campaigns, and what was planned and no log tells of
sends as (

    select messages.user_id, messages.campaign_id, messages.contact_date as send_date, messages.sent_at
    from {{ ref('stg_messages') }} as messages
    where
        messages.contact_date <= {{ as_of() }}
        and messages.campaign_id in (select campaign_id from campaigns)

    union all

    select user_id, campaign_id, plan_date as send_date, cast(null as timestamp) as sent_at
    from (
        select distinct user_id, campaign_id, channel, plan_date from planned where not is_logged and not is_carried
    ) as unlogged

),

sent as (

    select
        members.user_id,
        members.audience,
        members.campaign_id,
        count(*) as sends,
        max(sends.send_date) as last_send_date
    from members
    inner join sends on members.user_id = sends.user_id and members.campaign_id = sends.campaign_id
    where
        not members.each_order
        or members.since is null
        or sends.sent_at > members.since
        or (sends.sent_at is null and sends.send_date > {{ business_date('members.since') }})
    group by members.user_id, members.audience, members.campaign_id

),

-- by a list of this very plan date
carried as (

    select user_id, audience, campaign_id, min(channel) as carried_channel
    from planned
    where is_carried
    group by user_id, audience, campaign_id

),

purchases as (

    select * from {{ ref('int_recent_purchases') }}

),

bought_products as (

    select distinct user_id, product_id from purchases

),

bought_categories as (

    select distinct purchases.user_id, purchases.category
    from purchases
    left join {{ ref('category_settings') }} as categories on purchases.category = categories.category
    where not coalesce(categories.is_replenishable, false)

),

products as (

    select product_id, category from {{ ref('stg_products') }} where {{ known_on(as_of()) }}

),

variants as (

    select * from {{ ref('int_campaign_variants') }}

),

judged as (

    select
        members.*,
        carried.carried_channel,
        case
            when members.message_class <> 'marketing' then cast(null as string)
            when everywhere.user_id is not null then 'universal'
            when {{ is_below("concat('holdout:', members.campaign_id)", 'members.salt', 'members.user_id', 'members.holdout_share') }} then 'campaign'
        end as holdout_kind,
        sent.last_send_date,
        coalesce(sent.sends >= members.max_sends, false) as is_sent_out,
        case
            when users.user_id is null then 'erased'
            when not members.is_running then 'campaign_inactive'
            when
                sent.sends >= 1 and (
                    members.repeat_after_days is null
                    or {{ days_between('sent.last_send_date', plan_date()) }} < members.repeat_after_days
                    or sent.sends >= members.max_sends
                )
                then 'already_sent'
            when
                members.message_class = 'marketing'
                and (bought_products.user_id is not null or bought_categories.user_id is not null)
                then 'just_bought'
        end as fall_out
    from members
    left join {{ ref('int_known_users') }} as users on members.user_id = users.user_id
    left join {{ ref('int_universal_holdout') }} as everywhere on members.user_id = everywhere.user_id
    left join sent
        on
            members.user_id = sent.user_id
            and members.audience = sent.audience
            and members.campaign_id = sent.campaign_id
    left join carried
        on
            members.user_id = carried.user_id
            and members.audience = carried.audience
            and members.campaign_id = carried.campaign_id
    left join products on members.product_id = products.product_id
    left join bought_products
        on members.user_id = bought_products.user_id and members.product_id = bought_products.product_id
    left join bought_categories
        on
            members.user_id = bought_categories.user_id
            and coalesce(members.category, products.category, members.promotes_category) = bought_categories.category

),

ranked as (

    select
        *,
        row_number() over (
            partition by audience, fall_out is null
            order by
                case when carried_channel is null then 1 else 0 end, coalesce(value, 0) desc, user_id, campaign_id
        ) as place
    from judged

)

select
    ranked.user_id,
    ranked.audience,
    ranked.campaign_id,
    ranked.message_class,
    ranked.value,
    variants.variant,
    ranked.holdout_kind,
    ranked.carried_channel,
    case
        when ranked.fall_out is not null then ranked.fall_out
        when ranked.place > ranked.max_per_day then 'over_audience_limit'
    end as fall_out,
    case
        when ranked.fall_out = 'already_sent' and not ranked.is_sent_out
            then {{ add_days('ranked.last_send_date', 'ranked.repeat_after_days') }}
    end as again_from
from ranked
left join variants
    on
        ranked.audience = variants.audience
        and ranked.campaign_id = variants.campaign_id
        and not {{ is_below("concat('variant:', ranked.campaign_id)", 'ranked.salt', 'ranked.user_id', 'variants.from_share') }}
        and {{ is_below("concat('variant:', ranked.campaign_id)", 'ranked.salt', 'ranked.user_id', 'variants.to_share') }}
