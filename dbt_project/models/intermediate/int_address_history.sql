-- One row per (user_id, channel, normalised_address, known_from): addresses a user had on the dates from known_from until known_until. Never published.
with

channels as (

    select * from {{ ref('channels') }}

),

profiles as (

    select * from {{ ref('stg_users') }}

),

history as (

    select user_id, channel, address, known_from, known_until
    from {{ ref('stg_addresses') }}
    where status = 'active'

    union all

    select
        profiles.user_id,
        channels.channel,
        case when channels.address_kind = 'email' then profiles.email else profiles.phone end as address,
        profiles.known_from,
        profiles.known_until
    from profiles
    inner join channels on channels.address_kind in ('email', 'phone')

)

select distinct
    history.user_id,
    history.channel,
    {{ normalised_address('channels.address_kind', 'history.address', 'phone_numbers.e164') }} as normalised_address,
    history.known_from,
    history.known_until
from history
inner join channels on history.channel = channels.channel
left join profiles
    on history.user_id = profiles.user_id and profiles.known_until = {{ end_of_time() }}
left join {{ source('raw', 'phone_numbers') }} as phone_numbers
    on
        channels.address_kind = 'phone'
        and history.address = phone_numbers.phone
        and coalesce({{ phone_country('profiles.country') }}, '') = phone_numbers.country
where history.address is not null
