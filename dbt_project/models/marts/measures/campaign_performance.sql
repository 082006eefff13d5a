-- One row per campaign, variant, channel and engagement segment on the day before: what its messages of the measured days brought.
{%- set counts = ['delivered', 'opened', 'clicked', 'unsubscribed', 'complained'] %}
{#- Read twice, in two ways: kept as a CTE it would hold every message of the year in memory. #}
{%- set messages %}
    select
        contacts.message_id,
        contacts.user_id,
        contacts.campaign_id,
        contacts.variant,
        contacts.channel,
        coalesce(spans.segment, 'never_seen') as engagement,
        contacts.sent_at,
        contacts.is_delivered,
        contacts.is_opened,
        contacts.is_clicked,
        contacts.is_unsubscribed,
        contacts.is_complained,
        not contacts.is_failed and not contacts.is_bounced as has_reached,
        {{ business_date("contacts.sent_at + interval '" ~ var('outcome_days') ~ "' day") }} <= {{ as_of() }} as is_measured
    from {{ ref('fct_contacts') }} as contacts
    {{ join_engagement_before('contacts') }}
    where {{ in_last('contacts.contact_date', var('measures_days')) }}
{%- endset %}
with

channels as (

    select channel, message_cost, reports_reactions from {{ ref('channels') }}

),

campaigns as (

    select campaign_id, name from {{ ref('stg_campaigns') }} where {{ known_on(as_of()) }}

),

to_win_back as (

    select message_id, user_id, campaign_id, variant, channel, engagement, sent_at, has_reached
    from ({{ messages }}) as messages
    where
        engagement in ('dormant', 'one_time')
        and {{ business_date("sent_at + interval '" ~ var('outcome_visit_days') ~ "' day") }} <= {{ as_of() }}

),

visits as (

    select user_id, started_at
    from {{ ref('int_sessions') }}
    where {{ known_on(as_of()) }} and {{ in_last('activity_date', var('measures_days')) }}

),

won_back as (

    select distinct to_win_back.message_id
    from to_win_back
    inner join visits
        on
            to_win_back.user_id = visits.user_id
            and to_win_back.sent_at < visits.started_at
            and visits.started_at <= to_win_back.sent_at + interval '{{ var("outcome_visit_days") }}' day
    where to_win_back.has_reached

),

touches as (

    select
        contacts.user_id,
        contacts.campaign_id,
        contacts.variant,
        contacts.channel,
        contacts.contact_date,
        orders.order_id,
        orders.revenue,
        orders.is_last_touch
    from {{ ref('int_message_orders') }} as orders
    inner join {{ ref('fct_contacts') }} as contacts on orders.message_id = contacts.message_id
    where {{ in_last('contacts.contact_date', var('measures_days')) }}

),

-- an order counts once a row of the result, however many messages of it came before
touched_orders as (

    select
        touches.campaign_id,
        touches.variant,
        touches.channel,
        coalesce(spans.segment, 'never_seen') as engagement,
        touches.order_id,
        max(touches.revenue) as revenue,
        bool_or(touches.is_last_touch) as is_last_touch
    from touches
    {{ join_engagement_before('touches') }}
    group by touches.campaign_id, touches.variant, touches.channel, coalesce(spans.segment, 'never_seen'), touches.order_id

),

parts as (

    select
        campaign_id, variant, channel, engagement,
        count(*) as sent,
        count(case when is_measured then 1 end) as measured,
        {%- for name in counts %}
        count(case when is_{{ name }} then 1 end) as {{ name }},
        count(case when is_{{ name }} and is_measured then 1 end) as measured_{{ name }},
        {%- endfor %}
        0 as any_touch_orders, 0 as any_touch_revenue, 0 as last_touch_orders, 0 as last_touch_revenue,
        0 as reengageable, 0 as reengaged
    from ({{ messages }}) as messages
    group by campaign_id, variant, channel, engagement

    union all

    select
        campaign_id, variant, channel, engagement,
        0 as sent, 0 as measured, {% for name in counts %}0 as {{ name }}, 0 as measured_{{ name }}, {% endfor %}
        count(*) as any_touch_orders,
        sum(coalesce(revenue, 0)) as any_touch_revenue,
        count(case when is_last_touch then 1 end) as last_touch_orders,
        sum(case when is_last_touch then coalesce(revenue, 0) else 0 end) as last_touch_revenue,
        0 as reengageable, 0 as reengaged
    from touched_orders
    group by campaign_id, variant, channel, engagement

    union all

    select
        to_win_back.campaign_id, to_win_back.variant, to_win_back.channel, to_win_back.engagement,
        0 as sent, 0 as measured, {% for name in counts %}0 as {{ name }}, 0 as measured_{{ name }}, {% endfor %}
        0 as any_touch_orders, 0 as any_touch_revenue, 0 as last_touch_orders, 0 as last_touch_revenue,
        count(*) as reengageable,
        count(won_back.message_id) as reengaged
    from to_win_back
    left join won_back on to_win_back.message_id = won_back.message_id
    group by to_win_back.campaign_id, to_win_back.variant, to_win_back.channel, to_win_back.engagement

),

totals as (

    select
        campaign_id,
        variant,
        channel,
        engagement,
        cast(sum(sent) as bigint) as sent,
        cast(sum(measured) as bigint) as measured,
        {%- for name in counts %}
        cast(sum({{ name }}) as bigint) as {{ name }},
        cast(sum(measured_{{ name }}) as bigint) as measured_{{ name }},
        {%- endfor %}
        cast(sum(any_touch_orders) as bigint) as any_touch_orders,
        cast(sum(any_touch_revenue) as decimal(18, 2)) as any_touch_revenue,
        cast(sum(last_touch_orders) as bigint) as last_touch_orders,
        cast(sum(last_touch_revenue) as decimal(18, 2)) as last_touch_revenue,
        cast(sum(reengageable) as bigint) as reengageable,
        cast(sum(reengaged) as bigint) as reengaged
    from parts
    group by campaign_id, variant, channel, engagement

)

select
    {{ as_of() }} as as_of,
    totals.campaign_id,
    campaigns.name as campaign_name,
    totals.variant,
    totals.channel,
    totals.engagement,
    totals.sent,
    cast(totals.sent * channels.message_cost as decimal(18, 4)) as cost,
    totals.measured,
    {%- for name in counts %}
    totals.{{ name }},
    {%- endfor %}
    totals.any_touch_orders,
    totals.any_touch_revenue,
    totals.last_touch_orders,
    totals.last_touch_revenue,
    totals.reengageable,
    totals.reengaged,
    {%- for name in counts %}
    totals.measured_{{ name }},
    {%- endfor %}
    {{ share_of('totals.measured_delivered', 'totals.measured') }} as delivered_rate,
    case when channels.reports_reactions then {{ share_of('totals.measured_opened', 'totals.measured') }} end as open_rate,
    case when channels.reports_reactions then {{ share_of('totals.measured_clicked', 'totals.measured') }} end as click_rate,
    {{ share_of('totals.measured_unsubscribed', 'totals.measured') }} as unsubscribe_rate,
    {{ share_of('totals.measured_complained', 'totals.measured') }} as complaint_rate,
    {{ share_of('totals.reengaged', 'totals.reengageable') }} as reengagement_rate
from totals
inner join channels on totals.channel = channels.channel
left join campaigns on totals.campaign_id = campaigns.campaign_id
