-- One row: the date that this build speaks of.
select
    as_of,
    is_final,
    built_at
from {{ source('control', 'run_context') }}
