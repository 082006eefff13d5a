-- One row per order_id that rows loaded since the last build of stg_orders touch.
{{ touched_keys_of('orders', 'stg_orders', 'order_id') }}
