-- One row per (user_id, activity_date) whose events rows loaded since the last build of the rollups of activity touch.
{%- set rollups = ['int_sessions', 'int_user_activity_daily', 'int_user_interest_daily', 'int_engagement_spans', 'int_fatigued_before_contacts', 'int_segments_before_contacts'] %}
with

links as (

    select * from {{ ref('int_identity_links') }}

),

-- old values of replaced or erased rows touch as new rows do
rows_loaded as (

    select user_id, anonymous_id, activity_date from {{ ref('stg_events') }}
    where {{ loaded_since(rollups) }}

    union all

    select user_id, anonymous_id, {{ business_date('happened_at') }} as activity_date
    from {{ source('raw', 'touches') }}
    where dataset = 'events' and {{ loaded_since(rollups) }}

),

-- devices that got, lost or moved a link, with everybody who is or was linked to them
relinked as (

    select anonymous_id, user_id from links
    where {{ loaded_since(rollups, 'changed_load_id') }}

    union

    select anonymous_id, user_id
    from {{ source('raw', 'touches') }}
    where
        dataset in ('events', 'identities')
        and anonymous_id is not null
        and user_id is not null
        and {{ loaded_since(rollups) }}

),

pairs as (

    select user_id, activity_date from rows_loaded where user_id is not null

    union

    select links.user_id, rows_loaded.activity_date
    from rows_loaded
    inner join links on rows_loaded.anonymous_id = links.anonymous_id
    where rows_loaded.user_id is null

    union

    -- an erasure takes events and their link away together
    select relinked.user_id, rows_loaded.activity_date
    from rows_loaded
    inner join relinked on rows_loaded.anonymous_id = relinked.anonymous_id
    where rows_loaded.user_id is null

    union

    select relinked.user_id, events.activity_date
    from {{ ref('stg_events') }} as events
    inner join relinked on events.anonymous_id = relinked.anonymous_id
    where events.user_id is null

)

select user_id, activity_date from pairs

union

-- the first visit of the next date may continue the last of this one
select user_id, {{ add_days('activity_date', 1) }} as activity_date from pairs
