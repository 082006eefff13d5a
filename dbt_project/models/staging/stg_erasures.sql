-- One row per (user_id, requested_at): an erasure request. The user_id is a keyed hash, unless the user has come back.
with

source as (

    select * from {{ source('raw', 'erasures') }}

),

returned as (

    select * from {{ source('raw', 'returned_users') }}

)

select
    coalesce(returned.user_id, source.user_id) as user_id,
    source.requested_at,
    {{ business_date('source.requested_at') }} as requested_date,
    source.load_id
from source
left join returned on source.user_id = returned.user_hash
