-- One row per (user_id, channel) whose usable address other users have too: which of them is meant when the address is contacted.
with

addresses as (

    select * from {{ ref('int_user_addresses') }}

),

activity as (

    select * from {{ ref('int_user_last_activity') }}

),

shared as (

    select channel, normalised_address
    from addresses
    group by channel, normalised_address
    having count(*) > 1

),

ranked as (

    select
        addresses.user_id,
        addresses.channel,
        first_value(addresses.user_id) over (
            partition by addresses.channel, addresses.normalised_address
            order by coalesce(activity.last_activity_date, {{ start_of_time() }}) desc, addresses.user_id
        ) as elected_user_id
    from addresses
    inner join shared
        on addresses.channel = shared.channel and addresses.normalised_address = shared.normalised_address
    -- of known users alone
    inner join activity on addresses.user_id = activity.user_id

)

select
    user_id,
    channel,
    elected_user_id
from ranked
