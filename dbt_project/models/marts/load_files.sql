-- One row per loaded file: rows read = rows accepted + rows rejected; accepted includes duplicates, superseded and erased ones.
select
    load_id,
    dataset,
    file,
    rows_read,
    rows_accepted,
    rows_rejected,
    rows_duplicate,
    rows_superseded,
    rows_erased,
    loaded_at
from {{ source('raw', 'load_files') }}
