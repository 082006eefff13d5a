-- One row per (campaign_id, comparison, variant, metric): a variant against its control. Computed after dbt, from the sums of the arms.
{{ config(materialized='view') }}
-- depends_on: {{ ref('int_ab_test_arms') }}, {{ ref('build_info') }}
select
    as_of,
    campaign_id,
    comparison,
    control,
    variant,
    metric,
    status,
    control_users,
    variant_users,
    control_value,
    variant_value,
    difference,
    interval_low,
    interval_high,
    p_value,
    p_value_holm,
    is_significant,
    minimum_detectable_effect,
    balance_p_value,
    starts_on,
    ends_on
from {{ source('measures', 'ab_test_results') }}
