-- One row per (user_id, requested_at): an erasure request.
with

source as (

    select * from {{ source('raw', 'erasures') }}

)

select
    user_id,
    requested_at,
    {{ business_date('requested_at') }} as requested_date,
    load_id
from source
