-- One row per rejected row or file that may hide a wish to be left alone: extracts wait until somebody has acknowledged it.
with

acknowledged as (

    select * from {{ ref('acknowledged_rejects') }}

),

protecting as (

    -- an erasure that could not be read, and a consent row that names nobody
    select rejected.dataset, rejected.file, rejected.file_sha256, rejected.row_number, rejected.reason
    from {{ source('raw', 'rejected_rows') }} as rejected
    left join {{ source('raw', 'consent_stand_ins') }} as stand_ins
        on
            rejected.dataset = 'consents'
            and rejected.load_id = stand_ins.load_id
            and rejected.row_number = stand_ins.row_number
    where
        rejected.dataset = 'erasures'
        or (rejected.dataset = 'consents' and stand_ins.row_number is null)

    union all

    select dataset, file, sha256 as file_sha256, cast(null as bigint) as row_number, reason
    from {{ source('raw', 'rejected_files') }}
    where
        dataset in ('consents', 'erasures', 'message_events')
        -- in a place that the contract does not know, by its name
        or (
            reason = 'unknown_format'
            and (
                lower(file) like '%consent%' or lower(file) like '%erasure%' or lower(file) like '%message%event%'
            )
        )

)

select
    protecting.dataset,
    protecting.file,
    protecting.file_sha256,
    protecting.row_number,
    protecting.reason
from protecting
where not exists (
    select 1 from acknowledged
    where
        acknowledged.dataset = protecting.dataset
        and acknowledged.file_sha256 = protecting.file_sha256
        and (acknowledged.row_number is null or acknowledged.row_number = protecting.row_number)
)
