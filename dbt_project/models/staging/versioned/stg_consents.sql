-- One row per (user_id, channel, occurred_at, status, known_from): a version of a consent, good as of the dates from known_from until known_until.
{{ config(unique_key=['user_id', 'channel', 'occurred_at', 'status'], meta={'touched_by': 'touched_consents', 'touched_keys': ['user_id'], 'logic_version': 1}) }}
-- depends_on: {{ ref('touched_consents') }}

with

source as (

    select * from {{ source('raw', 'consents') }} as source
    {{ only_touched(['user_id'], ref('touched_consents')) }}

),

renamed as (

    select
        user_id,
        channel,
        status,
        source as consent_source,
        occurred_at,
        {{ business_date('occurred_at') }} as occurred_date,
        coalesce(updated_at, occurred_at) as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['user_id', 'channel', 'occurred_at', 'status']) }}

select
    user_id,
    channel,
    status,
    consent_source,
    occurred_at,
    occurred_date,
    known_from,
    known_until,
    has_equal_times
from versions
