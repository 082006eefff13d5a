-- One row per (policy, windows, segment, channel): what the caps would have done to the contacts of the measured days. `all` is all of them together; users and revenue don't add up to it.
{{ config(materialized='view') }}
-- depends_on: {{ ref('build_info') }}, {{ ref('fct_contacts') }}, {{ ref('int_contact_segments') }}, {{ ref('int_message_orders') }}, from which the pipeline computes what is read here, after dbt

select
    as_of,
    policy,
    windows,
    segment,
    channel,
    contacts,
    removed,
    removed_share,
    users,
    users_over_before,
    users_over_after,
    clicks_touched,
    revenue_touched,
    cost_saved
from {{ source('measures', 'cap_simulation') }}
