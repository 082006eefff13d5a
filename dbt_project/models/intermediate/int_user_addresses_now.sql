-- One row per (user_id, channel) with a usable address by everything loaded, rows dated after as_of included. Never published.
{{ user_addresses(all_loaded()) }}
