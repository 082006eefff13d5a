-- One row per (user_id, channel) with a usable address as of the date. Personal data: never published.
{{ user_addresses(as_of()) }}
