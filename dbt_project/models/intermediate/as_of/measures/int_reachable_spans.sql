-- One row per (user_id, channel or `all`, valid_from) with a contact in the measured days: dates at whose start marketing could go there, by consent and suppression.
{{ config(database='build') }}

with

channels as (

    select * from {{ ref('channels') }}

),

pairs as (

    select distinct user_id, channel
    from {{ ref('fct_contacts') }}
    where is_contact and contact_date > {{ add_days(as_of(), -(var('measures_days') + var('fatigue_days'))) }}

),

refused as (

    select message_id, user_id, channel from {{ ref('fct_contacts') }} where is_unsubscribed or is_complained

),

signs as (

    select
        user_id,
        channel,
        occurred_date as sign_date,
        case when status = 'granted' then occurred_at end as granted_at,
        case when status = 'withdrawn' then occurred_at end as withdrawn_at,
        cast(null as timestamp) as unsubscribed_at,
        false as has_complained
    from {{ ref('stg_consents') }}
    where {{ known_on(as_of()) }} and occurred_date <= {{ as_of() }}

    union all

    -- a rejected consent row stands for a withdrawal
    select
        stand_ins.user_id,
        channels.channel,
        {{ business_date('stand_ins.occurred_at') }} as sign_date,
        cast(null as timestamp) as granted_at,
        stand_ins.occurred_at as withdrawn_at,
        cast(null as timestamp) as unsubscribed_at,
        false as has_complained
    from {{ source('raw', 'consent_stand_ins') }} as stand_ins
    inner join channels on stand_ins.channel is null or stand_ins.channel = channels.channel
    where not stand_ins.is_erased and {{ business_date('stand_ins.occurred_at') }} <= {{ as_of() }}

    union all

    select
        refused.user_id,
        refused.channel,
        events.event_date as sign_date,
        cast(null as timestamp) as granted_at,
        cast(null as timestamp) as withdrawn_at,
        case when events.is_unsubscribed then events.occurred_at end as unsubscribed_at,
        events.is_complained as has_complained
    from {{ ref('int_message_events__classified') }} as events
    inner join refused on events.message_id = refused.message_id
    where (events.is_unsubscribed or events.is_complained) and events.event_date <= {{ as_of() }}

),

sign_dates as (

    select
        signs.user_id,
        signs.channel,
        signs.sign_date,
        max(signs.granted_at) as granted_at,
        max(signs.withdrawn_at) as withdrawn_at,
        max(signs.unsubscribed_at) as unsubscribed_at,
        bool_or(signs.has_complained) as has_complained
    from signs
    inner join pairs on signs.user_id = pairs.user_id and signs.channel = pairs.channel
    group by signs.user_id, signs.channel, signs.sign_date

    union all

    -- before anybody said anything
    select
        user_id,
        channel,
        {{ start_of_time() }} as sign_date,
        cast(null as timestamp) as granted_at,
        cast(null as timestamp) as withdrawn_at,
        cast(null as timestamp) as unsubscribed_at,
        false as has_complained
    from pairs

),

states as (

    select
        user_id,
        channel,
        sign_date,
        lead(sign_date) over (partition by user_id, channel order by sign_date) as next_date,
        max(granted_at) over so_far as granted_at,
        max(withdrawn_at) over so_far as withdrawn_at,
        max(unsubscribed_at) over so_far as unsubscribed_at,
        bool_or(has_complained) over so_far as has_complained
    from sign_dates
    window so_far as (partition by user_id, channel order by sign_date)

),

-- what a date brings holds from the start of the next
spans as (

    select
        states.user_id,
        states.channel,
        {{ add_days('states.sign_date', 1) }} as valid_from,
        coalesce({{ add_days('states.next_date', 1) }}, {{ end_of_time() }}) as valid_to
    from states
    inner join channels on states.channel = channels.channel
    where
        not states.has_complained
        and case
            when states.granted_at is null then not channels.marketing_needs_consent and states.withdrawn_at is null
            else coalesce(states.granted_at > states.withdrawn_at, true)
        end
        -- at equal times the restricting row wins
        and coalesce(states.granted_at > states.unsubscribed_at, states.unsubscribed_at is null)

),

-- one of the channels is enough: dates with more openings than closings so far
openings as (

    select user_id, valid_from as change_date, 1 as change from spans

    union all

    select user_id, valid_to as change_date, -1 as change from spans

),

opening_dates as (

    select user_id, change_date, sum(change) as change from openings group by user_id, change_date

),

open_channels as (

    select
        user_id,
        change_date as valid_from,
        lead(change_date) over (partition by user_id order by change_date) as valid_to,
        sum(change) over (partition by user_id order by change_date) as channels
    from opening_dates

)

select user_id, channel, valid_from, valid_to from spans

union all

select user_id, 'all' as channel, valid_from, valid_to from open_channels where channels > 0
