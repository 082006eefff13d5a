-- One row per (family, other_family), in both directions: how much one says about the other. Coefficients do not add up.
with

pairs as (

    select * from {{ ref('int_segment_pairs') }} where other_family <> 'age'

),

all_sizes as (

    select family, segment, users from {{ ref('int_segment_measures') }}

),

segment_counts as (

    select family, count(*) as segments, sum(users) as users from all_sizes group by family

),

-- chi square = n x (the sum over cells of observed^2 / (row x column) - 1): decimals, so that it doesn't depend on order
summed as (

    select
        pairs.family,
        pairs.other_family,
        sum(cast(
            cast(pairs.users as double) / sizes.users * cast(pairs.users as double) / other_sizes.users
            as decimal(18, 15)
        )) as mean_square
    from pairs
    inner join all_sizes as sizes on pairs.family = sizes.family and pairs.segment = sizes.segment
    inner join all_sizes as other_sizes
        on pairs.other_family = other_sizes.family and pairs.other_segment = other_sizes.segment
    group by pairs.family, pairs.other_family

),

squares as (

    select
        summed.family,
        summed.other_family,
        (cast(summed.mean_square as double) - 1)
        / nullif(least(counts.segments, other_counts.segments) - 1, 0) as square
    from summed
    inner join segment_counts as counts on summed.family = counts.family
    inner join segment_counts as other_counts on summed.other_family = other_counts.family

),

coefficients as (

    select family, other_family, {{ share('sqrt(case when square > 0 then square when square <= 0 then 0 end)') }} as cramers_v
    from squares

)

select {{ as_of() }} as as_of, family, other_family, cramers_v from coefficients

union all

select {{ as_of() }} as as_of, other_family as family, family as other_family, cramers_v from coefficients
