-- One row per order of the measured days that counts as of the date, with its revenue in the business currency.
{{ config(database='build') }}

with

versions as (

    select * from {{ ref('stg_orders') }}
    where
        {{ known_on(as_of()) }}
        and order_date <= {{ as_of() }}
        and {{ in_last('order_date', var('measures_days')) }}

),

rates as (

    select * from {{ ref('stg_exchange_rates') }}

)

select
    versions.order_id,
    versions.user_id,
    versions.ordered_at,
    versions.order_date,
    {{ net_revenue('versions', 'rates') }} as revenue
from versions
left join rates
    on
        versions.currency = rates.currency
        and versions.order_date >= rates.valid_from
        and versions.order_date < rates.valid_until
where {{ is_order('versions') }}
