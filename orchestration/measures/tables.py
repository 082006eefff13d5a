"""The tables of the schema ``measures`` in a build's file; models of marts/measures are views of them."""

from __future__ import annotations

import duckdb

#: Schema of the measures that are computed after dbt.
MEASURES = "measures"

#: Table -> its columns, and what must hold of its rows: dbt's tests run before there are any. No row names a user.
TABLES: dict[str, str] = {
    "segment_quality": """
        as_of date, family varchar, users bigint, segments bigint, is_too_many boolean, smallest_segment varchar,
        smallest_share double, is_too_small boolean, largest_share double, eta2_visits_30d double,
        eta2_orders_365d double, eta2_revenue_365d double, eta2_contacts_30d double, eta2_click_rate_90d double,
        built_from varchar, silhouette double, unchanged_share double, closest_family varchar, closest_cramers_v double,
        primary key (family)
    """,
    "ab_test_results": """
        as_of date, campaign_id varchar, comparison varchar, control varchar, variant varchar, metric varchar,
        status varchar, control_users bigint, variant_users bigint, control_value double, variant_value double,
        difference double, interval_low double, interval_high double, p_value double, p_value_holm double,
        is_significant boolean, minimum_detectable_effect double, balance_p_value double, starts_on date, ends_on date,
        primary key (campaign_id, comparison, variant, metric),
        check (status = 'done' or p_value is null), check (p_value between 0 and 1), check (p_value <= p_value_holm),
        check (difference between interval_low and interval_high)
    """,
    "cap_simulation": """
        as_of date, policy varchar, windows varchar, segment varchar, channel varchar, contacts bigint, removed bigint,
        removed_share double, users bigint, users_over_before bigint, users_over_after bigint, clicks_touched bigint,
        revenue_touched decimal(18, 2), cost_saved decimal(18, 4),
        primary key (policy, windows, segment, channel),
        check (removed between 0 and contacts), check (users_over_after <= users_over_before),
        check (users_over_after = 0 or windows = 'calendar')
    """,
}


def create_measures_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables, without a row, where they are missing or have other columns than these.

    ``con`` is the file of a build. dbt makes views of them before they are filled, and what the night before has
    measured stays until then: a run that fails on the way, and an intraday run after it, take nothing away.
    """
    con.execute(f"create schema if not exists {MEASURES}")
    for table in TABLES:
        con.execute(f"create or replace temp table wanted ({TABLES[table]})")
        found = con.execute(
            "select table_schema, list((column_name, data_type) order by ordinal_position) "
            "from information_schema.columns "
            "where (table_schema, table_name) in ((?, ?), ('main', 'wanted')) "
            "and table_catalog in (current_database(), 'temp') group by table_schema",
            [MEASURES, table],
        ).fetchall()
        con.execute("drop table wanted")
        columns = dict(found)
        if columns.get(MEASURES) != columns["main"]:
            con.execute(f"create or replace table {MEASURES}.{table} ({TABLES[table]})")
