-- One row per subscription_id that rows loaded since the last build of stg_subscriptions touch.
{{ touched_keys_of('subscriptions', 'stg_subscriptions', 'subscription_id') }}
