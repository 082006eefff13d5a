-- One row per user_id that rows loaded since the last build of stg_users touch.
{{ touched_keys_of('users', 'stg_users', 'user_id') }}
