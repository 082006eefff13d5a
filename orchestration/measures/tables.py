"""The tables of the schema ``measures`` in a build's file; models of marts/measures are views of them."""

from __future__ import annotations

import duckdb

#: Schema of the measures that are computed after dbt.
MEASURES = "measures"

#: Table -> its columns. No row names a user.
TABLES: dict[str, str] = {
    "segment_quality": """
        as_of date, family varchar, users bigint, segments bigint, is_too_many boolean, smallest_segment varchar,
        smallest_share double, is_too_small boolean, largest_share double, eta2_visits_30d double,
        eta2_orders_365d double, eta2_revenue_365d double, eta2_contacts_30d double, eta2_click_rate_90d double,
        built_from varchar, silhouette double, unchanged_share double, closest_family varchar, closest_cramers_v double
    """,
    "ab_test_results": """
        as_of DATE, campaign_id VARCHAR, comparison VARCHAR, control VARCHAR, variant VARCHAR, metric VARCHAR,
        status VARCHAR, control_users BIGINT, variant_users BIGINT, control_value DOUBLE, variant_value DOUBLE,
        difference DOUBLE, interval_low DOUBLE, interval_high DOUBLE, p_value DOUBLE, p_value_holm DOUBLE,
        is_significant BOOLEAN, minimum_detectable_effect DOUBLE, balance_p_value DOUBLE, starts_on DATE,
        ends_on DATE""",
    "cap_simulation": """
        as_of date, policy varchar, windows varchar, segment varchar, channel varchar, contacts bigint, removed bigint,
        removed_share double, users bigint, users_over_before bigint, users_over_after bigint, clicks_touched bigint,
        revenue_touched decimal(18, 2), cost_saved decimal(18, 4)
    """,
}


def create_measures_schema(con: duckdb.DuckDBPyConnection, is_empty: bool = False) -> None:
    """Create the tables where they are missing; with ``is_empty`` all anew, without a row.

    ``con`` is the file of a build. dbt makes views of them before they are filled.
    """
    con.execute(f"create schema if not exists {MEASURES}")
    for table, columns in TABLES.items():
        create = "create or replace table" if is_empty else "create table if not exists"
        con.execute(f"{create} {MEASURES}.{table} ({columns})")
