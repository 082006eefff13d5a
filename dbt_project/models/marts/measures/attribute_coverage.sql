-- One row per (dataset, attribute, disables_kind, disables): what is known of how many users, and what a gap costs. Users do not add up.
with

coverage as (

    select * from {{ ref('int_attribute_coverage') }}

),

needed as (
{%- for attribute, kind, name in attributes_needed() %}

    select '{{ attribute }}' as attribute, '{{ kind }}' as disables_kind, '{{ name }}' as disables
    {{- '\n\n    union all' if not loop.last }}
{%- endfor %}

)

select
    coverage.as_of,
    coverage.dataset,
    coverage.attribute,
    cast(coverage.users_known as bigint) as users_known,
    cast(coverage.users as bigint) as users,
    round(cast(coverage.users_known as double) / nullif(coverage.users, 0), 6) as share,
    needed.disables_kind,
    needed.disables,
    cast(coverage.users - coverage.users_known as bigint) as users_affected
from coverage
inner join needed on concat(coverage.dataset, '.', coverage.attribute) = needed.attribute
