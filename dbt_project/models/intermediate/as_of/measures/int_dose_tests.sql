-- One row: the latest dose test that has begun by the date, its salt and share, and its first and last day by then; without one no row.
{{ config(database='build') }}

with

tests as (

    select
        valid_from,
        salt,
        share,
        lead(valid_from) over (order by valid_from) as next_from
    from {{ ref('dose_arms') }}

),

begun as (

    select * from tests where share > 0 and valid_from <= {{ as_of() }}

),

latest as (

    select max(valid_from) as valid_from from begun

)

select
    begun.salt,
    begun.share,
    greatest(begun.valid_from, {{ add_days(as_of(), 1 - var('measures_days')) }}) as first_date,
    least({{ add_days('coalesce(begun.next_from, ' ~ end_of_time() ~ ')', -1) }}, {{ as_of() }}) as last_date
from begun
inner join latest on begun.valid_from = latest.valid_from
