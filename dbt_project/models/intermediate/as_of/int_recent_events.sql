-- One row per event of the last days that belongs to a user, and since when that is known.
{{ config(database='build') }}

with

credited as (

    {{ credited_events('occurred_at >= ' ~ since_days_ago(var('lead_days')) ~ ' and ' ~ in_last('activity_date', var('lead_days'))) | indent(4) }}

)

select
    event_id,
    user_id,
    activity_date,
    known_date,
    occurred_at,
    product_id,
    category,
    event_class,
    intent_weight
from credited
