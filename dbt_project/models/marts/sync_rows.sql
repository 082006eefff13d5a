-- One row per (destination, audience, user_id): what the provider has of a user. A record of runs.
-- A user whose address is the key and has changed has one row, that which needs attention.
select
    destination,
    audience,
    user_id,
    plan_date,
    operation,
    status,
    error,
    updated_at
from {{ source('control', 'sync_rows') }}
