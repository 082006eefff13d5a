-- One row per (campaign_id, known_from): a version of a campaign, good as of the dates from known_from until known_until.
{{ config(unique_key=['campaign_id'], meta={'touched_by': 'touched_campaigns', 'touched_keys': ['campaign_id'], 'logic_version': 1}) }}
-- depends_on: {{ ref('touched_campaigns') }}

with

source as (

    select * from {{ source('raw', 'campaigns') }} as source
    {{ only_touched(['campaign_id'], ref('touched_campaigns')) }}

),

renamed as (

    select
        campaign_id,
        name,
        channel,
        objective,
        coalesce(message_class, 'marketing') as message_class,
        starts_at,
        ends_at,
        updated_at as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['campaign_id']) }}

select
    campaign_id,
    name,
    channel,
    objective,
    message_class,
    starts_at,
    ends_at,
    known_from,
    known_until,
    has_equal_times
from versions
