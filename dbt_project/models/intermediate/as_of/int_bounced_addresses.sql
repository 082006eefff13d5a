-- One row per message that bounced hard and date of the bounce: the address it went to, by what was known when it was sent. Never published.
with

channels as (

    select * from {{ ref('channels') }}

),

bounces as (

    select distinct
        messages.message_id,
        messages.user_id,
        messages.channel,
        messages.sent_at,
        messages.contact_date,
        events.event_date
    from {{ ref('int_message_events__classified') }} as events
    inner join {{ ref('stg_messages') }} as messages on events.message_id = messages.message_id
    where events.is_hard_bounce

),

profiles as (

    select
        bounces.message_id,
        bounces.event_date,
        users.email,
        users.phone,
        {{ phone_country('users.country') }} as country
    from bounces
    inner join {{ ref('stg_users') }} as users
        on
            bounces.user_id = users.user_id
            and users.known_from <= bounces.contact_date
            and bounces.contact_date < users.known_until

),

candidates as (

    -- a version that ended on the day of sending may have ended by this very bounce
    select
        bounces.message_id,
        bounces.event_date,
        bounces.channel,
        addresses.address,
        addresses.updated_at,
        case when addresses.updated_at <= bounces.sent_at then 1 else 3 end as preference
    from bounces
    inner join {{ ref('stg_addresses') }} as addresses
        on
            bounces.user_id = addresses.user_id
            and bounces.channel = addresses.channel
            and addresses.known_from <= bounces.contact_date
            and bounces.contact_date <= addresses.known_until
    where addresses.status = 'active'

    union all

    select
        bounces.message_id,
        bounces.event_date,
        bounces.channel,
        case
            when channels.address_kind = 'user_id' then bounces.user_id
            when channels.address_kind = 'email' then profiles.email
            when channels.address_kind = 'phone' then profiles.phone
        end as address,
        cast(null as timestamp) as updated_at,
        2 as preference
    from bounces
    inner join channels on bounces.channel = channels.channel
    left join profiles on bounces.message_id = profiles.message_id and bounces.event_date = profiles.event_date

),

normalised as (

    select
        candidates.message_id,
        candidates.event_date,
        candidates.channel,
        candidates.updated_at,
        candidates.preference,
        {{ normalised_address('channels.address_kind', 'candidates.address', 'phone_numbers.e164') }} as normalised_address
    from candidates
    inner join channels on candidates.channel = channels.channel
    left join profiles on candidates.message_id = profiles.message_id and candidates.event_date = profiles.event_date
    left join {{ source('raw', 'phone_numbers') }} as phone_numbers
        on
            case when channels.address_kind = 'phone' then candidates.address end = phone_numbers.phone
            and coalesce(profiles.country, '') = phone_numbers.country
    where candidates.address is not null

)

select
    message_id,
    event_date,
    channel,
    normalised_address
from normalised
where normalised_address is not null
qualify
    row_number() over (
        partition by message_id, event_date order by preference, updated_at desc, normalised_address
    ) = 1
