-- One row per (anonymous_id, user_id, linked_at): a link of a device to a user.
with

source as (

    select * from {{ source('raw', 'identities') }}

)

select
    anonymous_id,
    user_id,
    linked_at,
    load_id
from source
