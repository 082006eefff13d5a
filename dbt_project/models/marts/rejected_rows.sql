-- One row per rejected row: where it stands and why; what it says stays in the working file.
select
    load_id,
    dataset,
    file,
    row_number,
    reason
from {{ source('raw', 'rejected_rows') }}
