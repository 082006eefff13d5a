-- One row per event that belongs to a user: its own user_id, else the owner of its anonymous_id.
{{ config(materialized='view') }}

{{ credited_events() }}
