-- One row per (user_id, family): the segment a known user is in, as of the date.
{{ config(materialized='view') }}

{{ segments_of_users() }}
