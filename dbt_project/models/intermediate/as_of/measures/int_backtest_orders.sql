-- One row per (cut_date, user_id) with an order shortly before the cut date, of those that were known then: the last one.
{{ config(database='build') }}

with

cuts as (

    select cut_date, {{ add_days('cut_date', -var('assumed_delay_days')) }} as seen_until
    from {{ ref('int_backtest_cuts') }}

),

versions as (

    select user_id, ordered_at, order_date, status, refunded_amount, gross_amount, discount_amount, known_from, known_until
    from {{ ref('stg_orders') }}
    where order_date > (select {{ add_days('min(seen_until)', -var('lead_days')) }} from cuts)

)

select
    cuts.cut_date,
    versions.user_id,
    max(versions.ordered_at) as last_ordered_at,
    max(versions.order_date) as last_order_date
from versions
cross join cuts
where
    {{ is_order('versions') }}
    and versions.order_date <= cuts.seen_until
    and {{ days_between('versions.order_date', 'cuts.cut_date') }} < {{ var('lead_days') }}
    and versions.known_from <= cuts.seen_until
    and cuts.seen_until < versions.known_until
group by cuts.cut_date, versions.user_id
