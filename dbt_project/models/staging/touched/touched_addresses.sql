-- One row per user_id that rows loaded since the last build of stg_addresses touch.
{{ touched_keys_of('addresses', 'stg_addresses', 'user_id') }}
