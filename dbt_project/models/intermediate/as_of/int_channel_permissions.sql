-- One row per (user_id, channel) with a usable address: consent and suppression as of the date. Never published.
{{ user_permissions(as_of(), ref('int_address_holders')) }}
