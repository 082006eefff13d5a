-- One row per (currency, valid_from): what one unit is worth in the business currency on the dates from valid_from until valid_until.
with

rates as (

    select * from {{ ref('exchange_rates') }}

)

select
    upper(currency) as currency,
    rate,
    rate_date as valid_from,
    coalesce(
        lead(rate_date) over (partition by upper(currency) order by rate_date), {{ end_of_time() }}
    ) as valid_until
from rates
