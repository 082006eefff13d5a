-- One row per negative signal that a user gave by the date, with the channel where one is known.
{{ config(database='build') }}

with

message_events as (

    select * from {{ ref('int_message_events__classified') }}
    where event_date <= {{ as_of() }} and (is_unsubscribed or is_complained or is_hard_bounce)

),

messages as (

    select * from {{ ref('stg_messages') }} where contact_date <= {{ as_of() }}

),

consents as (

    select * from {{ ref('stg_consents') }}
    where {{ known_on(as_of()) }} and occurred_date <= {{ as_of() }} and status = 'withdrawn'

),

device_channels as (

    select channel from {{ ref('channels') }} where address_kind = 'device'

),

activity as (

    select user_id, activity_date, sum(uninstalls) as uninstalls
    from {{ ref('int_user_activity_daily') }}
    where known_date <= {{ as_of() }} and uninstalls <> 0
    group by user_id, activity_date
    having sum(uninstalls) > 0

)

select
    messages.user_id,
    messages.channel,
    case
        when message_events.is_unsubscribed then 'unsubscribe'
        when message_events.is_complained then 'complaint'
        else 'hard_bounce'
    end as signal,
    message_events.event_date as signal_date,
    1 as signals
from message_events
inner join messages on message_events.message_id = messages.message_id

union all

select consents.user_id, consents.channel, 'push_off' as signal, consents.occurred_date as signal_date, 1 as signals
from consents
inner join device_channels on consents.channel = device_channels.channel

union all

select
    user_id,
    cast(null as string) as channel,
    'uninstall' as signal,
    activity_date as signal_date,
    cast(uninstalls as integer) as signals
from activity
