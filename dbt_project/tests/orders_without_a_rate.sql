-- Returns users with orders in a currency without an exchange rate: these orders count, their value is left out.
{{ config(severity='warn') }}
select user_id, orders_without_value
from {{ ref('user_360') }}
where orders_without_value > 0
