{% macro user_addresses(date, every=false) -%}
{#-
    One row per (user_id, channel) with a usable address as of a date: the latest active one, else what the profile says.
    Phone numbers are given in E.164, the form that every provider takes; other addresses as they were written.
    With `every`: one row per (user_id, channel, normalised_address) that the user is known to have, usable or not.
-#}
with

channels as (

    select * from {{ ref('channels') }}

),

profiles as (

    select user_id, email, phone, {{ phone_country('country') }} as country
    from {{ ref('stg_users') }}
    where {{ known_on(date) }} and coalesce(created_date, {{ start_of_time() }}) <= {{ date }}

),

uninstalls as (

    select user_id, max(last_uninstalled_at) as uninstalled_at
    from {{ ref('int_user_activity_daily') }}
    where last_uninstalled_at is not null and known_date <= {{ date }}
    group by user_id

),

written as (

    select
        addresses.user_id,
        addresses.channel,
        addresses.address,
        addresses.status,
        addresses.updated_at,
        {{ business_date('addresses.updated_at') }} <= {{ date }} as is_known,
        {{ normalised_address('channels.address_kind', 'addresses.address', 'phone_numbers.e164') }} as normalised_address
    from {{ ref('stg_addresses') }} as addresses
    inner join channels on addresses.channel = channels.channel
    left join profiles on addresses.user_id = profiles.user_id
    left join {{ source('raw', 'phone_numbers') }} as phone_numbers
        on
            case when channels.address_kind = 'phone' then addresses.address end = phone_numbers.phone
            and coalesce(profiles.country, '') = phone_numbers.country
    where {{ known_on(date) }}

),

-- two ways to write an address are one address: what was said of it last holds, at equal times that it is invalid
known_addresses as (

    select * from written
    where normalised_address is not null
    qualify
        row_number() over (
            partition by user_id, channel, normalised_address
            order by
                case when is_known then 0 else 1 end,
                updated_at desc,
                case when status = 'invalid' then 0 else 1 end,
                address
        ) = 1

),
{%- if not every %}

active as (

    select
        known_addresses.user_id,
        known_addresses.channel,
        case
            when channels.address_kind = 'phone' then known_addresses.normalised_address else known_addresses.address
        end as address,
        known_addresses.normalised_address,
        known_addresses.updated_at,
        case when known_addresses.is_known then 1 else 3 end as preference
    from known_addresses
    inner join channels on known_addresses.channel = channels.channel
    left join uninstalls on known_addresses.user_id = uninstalls.user_id
    where
        known_addresses.status = 'active'
        and not (
            channels.invalidated_by_uninstall
            and uninstalls.uninstalled_at is not null
            and (uninstalls.uninstalled_at >= known_addresses.updated_at or not known_addresses.is_known)
        )

),
{%- endif %}

from_profiles as (

    select
        profiles.user_id,
        channels.channel,
        case when channels.address_kind = 'email' then profiles.email else phone_numbers.e164 end as address,
        {{ normalised_address('channels.address_kind', 'profiles.email', 'phone_numbers.e164') }} as normalised_address
    from profiles
    inner join channels on channels.address_kind in ('email', 'phone')
    left join {{ source('raw', 'phone_numbers') }} as phone_numbers
        on
            case when channels.address_kind = 'phone' then profiles.phone end = phone_numbers.phone
            and profiles.country = phone_numbers.country

),
{%- if every %}

every_address as (

    select user_id, channel, normalised_address from known_addresses

    union

    select user_id, channel, normalised_address from from_profiles where normalised_address is not null

)

select
    user_id,
    channel,
    normalised_address
from every_address
{%- else %}

-- what the profile says, unless that very address is known to be invalid
fallbacks as (

    select from_profiles.*
    from from_profiles
    left join known_addresses
        on
            from_profiles.user_id = known_addresses.user_id
            and from_profiles.channel = known_addresses.channel
            and from_profiles.normalised_address = known_addresses.normalised_address
            and known_addresses.status = 'invalid'
    where known_addresses.user_id is null and from_profiles.normalised_address is not null

),

candidates as (

    select user_id, channel, address, normalised_address, updated_at, preference from active

    union all

    select user_id, channel, address, normalised_address, cast(null as timestamp) as updated_at, 2 as preference
    from fallbacks

    union all

    select
        users.user_id,
        channels.channel,
        users.user_id as address,
        users.user_id as normalised_address,
        cast(null as timestamp) as updated_at,
        2 as preference
    from {{ ref('int_known_users') }} as users
    inner join channels on channels.address_kind = 'user_id'

)

select
    user_id,
    channel,
    address,
    normalised_address
from candidates
qualify
    row_number() over (
        partition by user_id, channel
        order by preference, case when updated_at is null then 1 else 0 end, updated_at desc, address
    ) = 1
{%- endif %}
{%- endmacro %}


{% macro normalised_address(address_kind, address, e164) -%}
    {#- What makes two addresses the same: e-mail trimmed and lower-cased, phone in E.164. Null where it can't be used. -#}
    case
        when {{ address_kind }} = 'phone' then {{ e164 }}
        when {{ address_kind }} <> 'email' then {{ address }}
        when {{ is_email(address) }} then lower(trim({{ address }}))
    end
{%- endmacro %}


{% macro phone_country(country) -%}
    {#- The country in which a national phone number is read: a code of two letters, else none. -#}
    case when length({{ country }}) = 2 then {{ country }} else '' end
{%- endmacro %}
