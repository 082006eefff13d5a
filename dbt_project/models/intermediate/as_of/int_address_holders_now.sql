-- One row per (user_id, channel, normalised_address) that a user is known to have by everything loaded. Never published.
{{ user_addresses(all_loaded(), every=true) }}
