-- One row per user_id that rows loaded since the last build of stg_consents touch.
{{ touched_keys_of('consents', 'stg_consents', 'user_id') }}
