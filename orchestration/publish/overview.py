"""Plots and numbers of a published file for its page in the UI: what people would rather look at than read."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from orchestration.report.charts import bar_chart

_USERS_BY_SEGMENT = """
    select catalog.segment, count(users.user_id)
    from marts.segment_catalog as catalog
    left join marts.user_segments as users using (family, segment)
    where catalog.family = ?
    group by catalog.segment, catalog.position
    order by catalog.position
"""
_USERS_BY_CONTACTS = """
    select if(contacts_7d > 10, 'over 10', contacts_7d::varchar), count(*)
    from marts.contact_pressure
    group by all
    order by min(contacts_7d)
"""
#: Families whose segments are drawn.
_FAMILIES = ("engagement", "rfm", "pressure_status")
#: Columns of the plan by audience.
PLAN_COLUMNS = ("audience", "candidates", "planned", "held_out", "suppressed")
#: Numbers that Dagster draws over time.
_NUMBERS = """
    select
        count(*) as users,
        coalesce(round(avg(contacts_7d), 3), 0)::double as contacts_7d_per_user,
        coalesce(max(contacts_7d), 0) as contacts_7d_most
    from marts.contact_pressure
"""
#: The plan of a file has a row an audience; a file in which no plan was ever built has none.
_HAS_PLAN = "select count(*) from duckdb_tables() where schema_name = 'marts' and table_name = 'audience_catalog'"
_PLAN = """
    select audience, candidates, planned, held_out, suppressed
    from marts.audience_catalog
    order by audience
"""
_NOT_PLANNED = """
    select reason, count(*) as candidates
    from marts.contact_suppressions
    group by reason
    order by candidates desc, reason
"""


def overview(published_file: Path) -> dict[str, Any]:
    """Return plots, by title, and numbers of a published file as metadata."""
    with duckdb.connect(str(published_file), read_only=True) as con:
        counts = {f"users_by_{family}": users_by_segment(con, family) for family in _FAMILIES}
        counts["users_by_contacts_in_7_days"] = con.execute(_USERS_BY_CONTACTS).fetchall()
        cursor = con.execute(_NUMBERS)
        numbers = dict(zip([column[0] for column in cursor.description], cursor.fetchone() or (), strict=True))
        plan = [dg.TableRecord(dict(zip(PLAN_COLUMNS, row, strict=True))) for row in plan_by_audience(con)]
    numbers |= {"plan": dg.MetadataValue.table(plan)} if plan else {}
    return {**{title: dg.MetadataValue.md(bar_chart(rows)) for title, rows in counts.items()}, **numbers}


def users_by_segment(con: duckdb.DuckDBPyConnection, family: str) -> list[tuple[str, int]]:
    """Return every segment of a family, in the order of its rules, with the number of users in it."""
    return con.execute(_USERS_BY_SEGMENT, [family]).fetchall()


def plan_by_audience(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int, int, int, int]]:
    """Return a row an audience, its columns those of PLAN_COLUMNS; none while no plan was built."""
    return con.execute(_PLAN).fetchall() if _has_plan(con) else []


def plan_date(con: duckdb.DuckDBPyConnection) -> date | None:
    """Return the date that the plan is for, which an intraday run leaves as it was; None while no plan was built."""
    row = con.execute("select max(plan_date) from marts.audience_catalog").fetchone() if _has_plan(con) else None
    return row[0] if row else None


def reasons_not_to_contact(con: duckdb.DuckDBPyConnection) -> list[tuple[str, int]]:
    """Return why candidates are not planned, with how many there are of each reason, the most frequent first."""
    return con.execute(_NOT_PLANNED).fetchall() if _has_plan(con) else []


def _has_plan(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute(_HAS_PLAN).fetchall() != [(0,)]
