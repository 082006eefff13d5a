-- One row per order of the last days that counts as of the date, with the moment it was placed.
{{ config(database='build') }}
{%- set days = [
    var('affinity_days'), var('lead_days'), var('fatigue_contact_days'), var('just_bought_days'), var('post_purchase_cycle_days') + 1
] | max %}

with

versions as (

    select * from {{ ref('stg_orders') }}
    where {{ known_on(as_of()) }} and order_date <= {{ as_of() }} and {{ in_last('order_date', days) }}

)

select
    order_id,
    user_id,
    ordered_at,
    order_date
from versions
where {{ is_order('versions') }}
