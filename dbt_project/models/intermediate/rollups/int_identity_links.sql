-- One row per (anonymous_id, user_id): when the device first served the user. The link of link_number 1 owns the device.
{{ config(
    unique_key=['anonymous_id', 'user_id'],
    meta={'touched_by': 'touched_identity_links', 'touched_keys': ['anonymous_id'], 'logic_version': 1,
          'fingerprint_vars': ['business_time_zone', 'max_users_per_device']}
) }}
-- depends_on: {{ ref('touched_identity_links') }}

with

links as (

    -- a row of identities without a time links always
    select anonymous_id, user_id, coalesce(linked_at, timestamp '0001-01-01 00:00:00') as linked_at
    from {{ ref('stg_identities') }} as source
    {{ only_touched(['anonymous_id'], ref('touched_identity_links')) }}

    union all

    select anonymous_id, user_id, occurred_at as linked_at
    from (
        select * from {{ ref('stg_events') }}
        where anonymous_id is not null and user_id is not null
    ) as source
    {{ only_touched(['anonymous_id'], ref('touched_identity_links')) }}

),

first_links as (

    select anonymous_id, user_id, min(linked_at) as linked_at
    from links
    group by anonymous_id, user_id

),

numbered as (

    select
        *,
        row_number() over (partition by anonymous_id order by linked_at, user_id) as link_number
    from first_links

),

with_limit as (

    select
        *,
        -- from the link of one user too many on, the device is shared and its events are credited to nobody
        min(case when link_number = {{ var('max_users_per_device') }} + 1 then linked_at end)
            over (partition by anonymous_id) as shared_from
    from numbered

)

{%- if is_incremental() %},

before as (

    select * from {{ this }} as source
    {{ only_touched(['anonymous_id'], ref('touched_identity_links')) }}

),

changed as (

    -- devices whose set of links is another one now
    select distinct coalesce(with_limit.anonymous_id, before.anonymous_id) as anonymous_id
    from with_limit
    full outer join before
        on with_limit.anonymous_id = before.anonymous_id and with_limit.user_id = before.user_id
    where
        with_limit.user_id is null
        or before.user_id is null
        or with_limit.linked_at <> before.linked_at

),

kept_loads as (

    select anonymous_id, max(changed_load_id) as changed_load_id from before group by anonymous_id

)
{%- endif %}

select
    with_limit.anonymous_id,
    with_limit.user_id,
    with_limit.linked_at,
    {{ business_date('with_limit.linked_at') }} as linked_date,
    with_limit.link_number,
    with_limit.shared_from,
    {%- if is_incremental() %}
    case
        when changed.anonymous_id is null then kept_loads.changed_load_id
        else (select max_load_id from {{ source('control', 'run_context') }})
    end as changed_load_id
    {%- else %}
    (select max_load_id from {{ source('control', 'run_context') }}) as changed_load_id
    {%- endif %}
from with_limit
{%- if is_incremental() %}
left join changed on with_limit.anonymous_id = changed.anonymous_id
left join kept_loads on with_limit.anonymous_id = kept_loads.anonymous_id
{%- endif %}
