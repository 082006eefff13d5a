-- One row per anonymous_id whose links rows loaded since the last build of int_identity_links touch.
with

links as (

    select anonymous_id, load_id from {{ ref('stg_identities') }}

    union all

    select anonymous_id, load_id from {{ ref('stg_events') }} where user_id is not null

    union all

    select anonymous_id, load_id from {{ source('raw', 'touches') }} where dataset in ('events', 'identities')

)

select distinct anonymous_id
from links
where anonymous_id is not null and {{ loaded_since('int_identity_links') }}
