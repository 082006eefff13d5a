-- One row per user with a visit as of the date: first and last visit, how many visits and visit-days there were, and what was looked at.
{{ config(database='build') }}
{%- set window = var('subscription_decline_window_days') %}

with

changes as (

    select
        user_id,
        activity_date,
        visits,
        visits - continued_visits as visits_begun,
        cart_adds,
        product_views
    from {{ ref('int_user_activity_daily') }}
    where known_date <= {{ as_of() }}

),

days as (

    select changes.* {{ with_restated('changes', false) }}

    union all

    select
        changes.user_id,
        changes.activity_date,
        cast(sum(visits) as bigint) as visits,
        cast(sum(visits_begun) as bigint) as visits_begun,
        cast(sum(cart_adds) as bigint) as cart_adds,
        cast(sum(product_views) as bigint) as product_views
    {{ with_restated('changes', true) }}
    group by changes.user_id, changes.activity_date

)

select
    user_id,
    min(case when visits > 0 then activity_date end) as first_visit_date,
    max(case when visits > 0 then activity_date end) as last_visit_date,
    cast(sum(visits_begun) as bigint) as visits,
    count(case when visits > 0 then 1 end) as visit_days,
    count(case when visits > 0 and {{ in_last('activity_date', var('pressure_month_days')) }} then 1 end) as visit_days_30d,
    count(case when visits > 0 and {{ in_last('activity_date', var('outlook_gap_window_days')) }} then 1 end) as visit_days_in_window,
    min(case when visits > 0 and {{ in_last('activity_date', var('outlook_gap_window_days')) }} then activity_date end) as first_visit_date_in_window,
    cast(coalesce(sum(case when {{ in_last('activity_date', window) }} then visits end), 0) as bigint) as visits_lately,
    cast(coalesce(sum(case when {{ age('activity_date') }} between {{ window }} and 2 * {{ window }} - 1 then visits end), 0) as bigint) as visits_before,
    cast(sum(cart_adds) as bigint) as cart_adds,
    cast(sum(product_views) as bigint) as product_views
from days
group by user_id
having sum(visits) > 0
