-- One row per (load_id, column_name) with values of an optional column that could not be used and became null.
select
    bad_values.load_id,
    bad_values.dataset,
    load_files.file,
    bad_values.column_name,
    bad_values.rows as bad_rows
from {{ source('raw', 'bad_values') }} as bad_values
inner join {{ source('raw', 'load_files') }} as load_files on bad_values.load_id = load_files.load_id
