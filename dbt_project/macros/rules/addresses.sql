{% macro user_addresses(date) -%}
{#-
    One row per (user_id, channel) with a usable address as of a date: the latest active one, else what the profile says.
    Knows e-mail (lower case), phone (E.164), device, chat id, and channels whose address is the user_id.
-#}
with

channels as (

    select * from {{ ref('channels') }}

),

profiles as (

    select user_id, email, phone, {{ phone_country('country') }} as phone_country
    from {{ ref('stg_users') }}
    where {{ known_on(date) }} and coalesce(created_date, {{ start_of_time() }}) <= {{ date }}

),

known_addresses as (

    select * from {{ ref('stg_addresses') }} where {{ known_on(date) }}

),

uninstalls as (

    select user_id, max(occurred_at) as uninstalled_at
    from {{ ref('int_events__credited') }}
    where event_class = 'uninstall' and known_date <= {{ date }}
    group by user_id

),

active as (

    select
        known_addresses.user_id,
        known_addresses.channel,
        known_addresses.address,
        channels.address_kind,
        known_addresses.updated_at
    from known_addresses
    inner join channels on known_addresses.channel = channels.channel
    left join uninstalls on known_addresses.user_id = uninstalls.user_id
    where
        known_addresses.status = 'active'
        and not (
            channels.invalidated_by_uninstall
            and coalesce(uninstalls.uninstalled_at >= known_addresses.updated_at, false)
        )

),

-- what the profile says, unless that very address is known to be invalid
from_profiles as (

    select
        profiles.user_id,
        channels.channel,
        case when channels.address_kind = 'email' then profiles.email else profiles.phone end as address,
        channels.address_kind
    from profiles
    inner join channels on channels.address_kind in ('email', 'phone')

),

fallbacks as (

    select from_profiles.*
    from from_profiles
    left join known_addresses
        on
            from_profiles.user_id = known_addresses.user_id
            and from_profiles.channel = known_addresses.channel
            and from_profiles.address = known_addresses.address
            and known_addresses.status = 'invalid'
    where known_addresses.user_id is null and from_profiles.address is not null

),

by_user_id as (

    select users.user_id, channels.channel, users.user_id as address, channels.address_kind
    from {{ ref('int_known_users') }} as users
    inner join channels on channels.address_kind = 'user_id'

),

candidates as (

    select user_id, channel, address, address_kind, updated_at, 1 as preference from active

    union all

    select user_id, channel, address, address_kind, cast(null as timestamp) as updated_at, 2 as preference from fallbacks

    union all

    select user_id, channel, address, address_kind, cast(null as timestamp) as updated_at, 3 as preference from by_user_id

),

normalised as (

    select
        candidates.user_id,
        candidates.channel,
        candidates.address,
        candidates.updated_at,
        candidates.preference,
        {{ normalised_address('candidates.address_kind', 'candidates.address', 'phone_numbers.e164') }} as normalised_address
    from candidates
    left join profiles on candidates.user_id = profiles.user_id
    left join {{ source('raw', 'phone_numbers') }} as phone_numbers
        on
            candidates.address_kind = 'phone'
            and candidates.address = phone_numbers.phone
            and coalesce(profiles.phone_country, '') = phone_numbers.country

)

select
    user_id,
    channel,
    address,
    normalised_address
from normalised
where normalised_address is not null
qualify
    row_number() over (
        partition by user_id, channel
        order by preference, case when updated_at is null then 1 else 0 end, updated_at desc, address
    ) = 1
{%- endmacro %}


{% macro normalised_address(address_kind, address, e164) -%}
    {#- What makes two addresses the same: e-mail trimmed and lower-cased, phone in E.164. Null where it can't be used. -#}
    case
        when {{ address_kind }} = 'phone' then {{ e164 }}
        when {{ address_kind }} <> 'email' then {{ address }}
        when lower(trim({{ address }})) like '%_@_%._%' and trim({{ address }}) not like '% %' then lower(trim({{ address }}))
    end
{%- endmacro %}


{% macro phone_country(country) -%}
    {#- The country by which the loader read a national phone number; without two letters: none. -#}
    case when length({{ country }}) = 2 then {{ country }} else '' end
{%- endmacro %}
