-- One row per campaign_id that rows loaded since the last build of stg_campaigns touch.
{{ touched_keys_of('campaigns', 'stg_campaigns', 'campaign_id') }}
