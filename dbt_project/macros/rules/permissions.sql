{% macro user_permissions(date, sharing) -%}
{#-
    One row per (user_id, channel) with an address as of the run's date: may marketing be sent there, by all that is
    known by `date`? Complaints, unsubscribes, withdrawals and hard bounces hold for everybody with the same normalised
    address; `sharing` is the relation that says who has which address. At equal times the restricting row wins.
-#}
with

channels as (

    select * from {{ ref('channels') }}

),

addresses as (

    select * from {{ ref('int_user_addresses') }}

),

-- who answers for which address: its user as of the run's date, and whoever `sharing` says has it
holders as (

    select user_id, channel, normalised_address from addresses

    union

    select user_id, channel, normalised_address from {{ sharing }}

),

consents as (

    select * from {{ ref('stg_consents') }} where {{ known_on(date) }} and occurred_date <= {{ date }}

),

acknowledged as (

    select * from {{ ref('acknowledged_rejects') }}

),

-- a rejected consent row stands for a withdrawal; without a date it stays until somebody acknowledges it
stand_ins as (

    select stand_ins.user_id, channels.channel, stand_ins.occurred_at
    from {{ source('raw', 'consent_stand_ins') }} as stand_ins
    inner join channels on stand_ins.channel is null or stand_ins.channel = channels.channel
    where
        not stand_ins.is_erased
        and (
            (stand_ins.occurred_at is not null and {{ business_date('stand_ins.occurred_at') }} <= {{ date }})
            or (
                stand_ins.occurred_at is null
                and not exists (
                    select 1 from acknowledged
                    where
                        acknowledged.dataset = 'consents'
                        and acknowledged.file_sha256 = stand_ins.file_sha256
                        and (acknowledged.row_number is null or acknowledged.row_number = stand_ins.row_number)
                )
            )
        )

),

message_signals as (

    select
        messages.user_id,
        messages.channel,
        events.occurred_at,
        events.is_complained,
        events.is_unsubscribed
    from {{ ref('int_message_events__classified') }} as events
    inner join {{ ref('stg_messages') }} as messages on events.message_id = messages.message_id
    where
        events.event_date <= {{ date }}
        and (events.is_complained or events.is_unsubscribed)

),

-- restrictions by the user who gave them
restrictions as (

    select user_id, channel, occurred_at as withdrawn_at, cast(null as timestamp) as unsubscribed_at, false as has_complained
    from consents
    where status = 'withdrawn'

    union all

    select
        user_id, channel,
        coalesce(occurred_at, timestamp '9999-12-31 00:00:00') as withdrawn_at,
        cast(null as timestamp) as unsubscribed_at,
        false as has_complained
    from stand_ins

    union all

    select
        user_id, channel, cast(null as timestamp) as withdrawn_at,
        case when is_unsubscribed then occurred_at end as unsubscribed_at,
        is_complained as has_complained
    from message_signals

),

-- ... and by every user with the same address
restrictions_by_user as (

    select addresses.user_id, addresses.channel, restrictions.withdrawn_at, restrictions.unsubscribed_at, restrictions.has_complained
    from addresses
    inner join holders
        on addresses.channel = holders.channel and addresses.normalised_address = holders.normalised_address
    inner join restrictions on holders.user_id = restrictions.user_id and holders.channel = restrictions.channel

    union all

    select user_id, channel, withdrawn_at, unsubscribed_at, has_complained from restrictions

),

restricted as (

    select
        user_id,
        channel,
        max(withdrawn_at) as withdrawn_at,
        max(unsubscribed_at) as unsubscribed_at,
        bool_or(has_complained) as has_complained
    from restrictions_by_user
    group by user_id, channel

),

hard_bounces as (

    select distinct channel, normalised_address
    from {{ ref('int_bounced_addresses') }}
    where event_date <= {{ date }}

),

grants as (

    select user_id, channel, max(occurred_at) as granted_at
    from consents
    -- a grant of a date still to come has not been given
    where status = 'granted' and occurred_date <= {{ plan_date() }}
    group by user_id, channel

),

judged as (

    select
        addresses.user_id,
        addresses.channel,
        addresses.address,
        addresses.normalised_address,
        -- a channel that needs no consent still takes a no
        case
            when grants.granted_at is null then restricted.withdrawn_at is null and not channels.marketing_needs_consent
            else coalesce(grants.granted_at > restricted.withdrawn_at, true)
        end as has_consent,
        coalesce(restricted.has_complained, false)
        or hard_bounces.normalised_address is not null
        or (
            restricted.unsubscribed_at is not null
            and coalesce(grants.granted_at <= restricted.unsubscribed_at, true)
        ) as is_suppressed,
        -- of what suppresses, the only thing that stops transactional and service messages too
        hard_bounces.normalised_address is not null as is_hard_bounced
    from addresses
    inner join channels on addresses.channel = channels.channel
    left join grants on addresses.user_id = grants.user_id and addresses.channel = grants.channel
    left join restricted on addresses.user_id = restricted.user_id and addresses.channel = restricted.channel
    left join hard_bounces
        on addresses.channel = hard_bounces.channel and addresses.normalised_address = hard_bounces.normalised_address

)

select
    user_id,
    channel,
    address,
    normalised_address,
    has_consent,
    is_suppressed,
    is_hard_bounced
from judged
{%- endmacro %}
