-- One row per known user: the channels on which marketing may be sent.
with

users as (

    select * from {{ ref('int_known_users') }}

),

reachable as (

    select
        user_id,
        count(*) as channel_count,
        {{ joined_text('channel', 'channel') }} as channels
    from {{ ref('int_channel_permissions') }}
    where has_consent and not is_suppressed
    group by user_id

)

select
    users.user_id,
    case
        when reachable.user_id is null then 'unreachable'
        when reachable.channel_count > 1 then 'multi_channel'
        else concat(reachable.channels, '_only')
    end as segment,
    reachable.channels
from users
left join reachable on users.user_id = reachable.user_id
