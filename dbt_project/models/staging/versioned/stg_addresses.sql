-- One row per (user_id, channel, address, known_from): a version of an address, good as of the dates from known_from until known_until.
{{ config(unique_key=['user_id', 'channel', 'address'], meta={'touched_by': 'touched_addresses', 'touched_keys': ['user_id'], 'logic_version': 1}) }}
-- depends_on: {{ ref('touched_addresses') }}

with

source as (

    select * from {{ source('raw', 'addresses') }} as source
    {{ only_touched(['user_id'], ref('touched_addresses')) }}

),

renamed as (

    select
        user_id,
        channel,
        address,
        coalesce(status, 'active') as status,
        updated_at,
        updated_at as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['user_id', 'channel', 'address']) }}

select
    user_id,
    channel,
    address,
    status,
    updated_at,
    known_from,
    known_until,
    has_equal_times
from versions
