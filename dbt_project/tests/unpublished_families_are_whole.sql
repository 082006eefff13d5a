-- Returns unpublished families that have a known user not exactly once, or without a segment. The others are columns of user_360.
{{ config(meta={'dagster': {'ref': {'name': 'user_360'}}}) }}
-- depends_on: {{ ref('int_known_users') }}
-- depends_on: {{ ref('user_360') }}
{%- for family in families('all') if family not in families() %}
select '{{ family }}' as family, users, rows, segments
from (
    select
        (select count(*) from {{ ref('int_known_users') }}) as users,
        count(*) as rows,
        count(distinct case when segment is not null then user_id end) as segments
    from {{ ref('fam_' ~ family) }}
) as counted
where users <> rows or users <> segments
{{ 'union all' }}
{%- endfor %}
select cast(null as string) as family, 0 as users, 0 as rows, 0 as segments where false
