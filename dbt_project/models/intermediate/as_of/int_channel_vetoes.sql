-- One row per (user_id, channel) with an address as of the date that marketing must not use by all that is loaded by now.
-- blocks_service: transactional and service messages must not either.
with

now as (

    {{ user_permissions(all_loaded(), ref('int_address_holders_now')) }}

),

-- whoever asked to be forgotten and has not come back since
erased as (

    select erasures.user_id
    from {{ ref('stg_erasures') }} as erasures
    left join {{ ref('int_known_users') }} as users on erasures.user_id = users.user_id
    group by erasures.user_id, users.user_id
    having users.user_id is null

)

select
    now.user_id,
    now.channel,
    case
        when erased.user_id is not null then 'erased'
        when now.is_suppressed then 'suppressed'
        else 'no_consent'
    end as reason,
    erased.user_id is not null
    or now.is_hard_bounced
    or (channels.transactional_needs_consent and not now.has_consent) as blocks_service
from now
inner join {{ ref('channels') }} as channels on now.channel = channels.channel
left join erased on now.user_id = erased.user_id
where erased.user_id is not null or now.is_suppressed or not now.has_consent
