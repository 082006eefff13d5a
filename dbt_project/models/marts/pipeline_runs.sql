-- One row per (run_id, stage): what a stage of a run took and came to. A record of runs: it follows from no row of data.
select
    run_id,
    as_of,
    kind,
    stage,
    started_at,
    rows,
    seconds,
    peak_memory_mb,
    outcome,
    error
from {{ source('control', 'pipeline_runs') }}
