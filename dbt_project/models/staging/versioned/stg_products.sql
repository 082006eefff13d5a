-- One row per (product_id, known_from): a version of a product, good as of the dates from known_from until known_until.
{{ config(unique_key=['product_id'], meta={'touched_by': 'touched_products', 'touched_keys': ['product_id'], 'logic_version': 1}) }}
-- depends_on: {{ ref('touched_products') }}

with

source as (

    select * from {{ source('raw', 'products') }} as source
    {{ only_touched(['product_id'], ref('touched_products')) }}

),

renamed as (

    select
        product_id,
        name,
        category,
        price,
        updated_at as known_at,
        row_md5
    from source

),

{{ version_ctes('renamed', keys=['product_id']) }}

select
    product_id,
    name,
    category,
    price,
    known_from,
    known_until,
    has_equal_times
from versions
