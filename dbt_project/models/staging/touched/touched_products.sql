-- One row per product_id that rows loaded since the last build of stg_products touch.
{{ touched_keys_of('products', 'stg_products', 'product_id') }}
