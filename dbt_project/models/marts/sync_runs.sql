-- One row per (run_id, destination, audience): what a sync came to. A record of runs: it follows from no row of data.
select
    run_id,
    destination,
    audience,
    as_of,
    started_at,
    seconds,
    candidates,
    rows,
    sent,
    accepted,
    rejected,
    pending,
    unknown,
    removed,
    vetoed,
    outcome,
    guard
from {{ source('control', 'sync_runs') }}
