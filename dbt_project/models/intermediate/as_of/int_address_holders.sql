-- One row per (user_id, channel, normalised_address) that a user is known to have as of the date. Never published.
{{ user_addresses(as_of(), every=true) }}
