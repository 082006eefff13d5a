-- One row per file content that could not be read at all.
select
    dataset,
    file,
    sha256,
    reason,
    seen_at
from {{ source('raw', 'rejected_files') }}
