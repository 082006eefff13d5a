-- One row per (user_id, activity_date) of which something became known later: it has several rows in int_user_activity_daily, all other days one.
{{ config(database='build') }}

select distinct user_id, activity_date
from {{ ref('int_user_activity_daily') }}
where known_date > activity_date
