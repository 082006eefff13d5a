"""Fills the tables of the schema ``measures`` from what dbt has built."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from orchestration.measures import ab_tests
from orchestration.measures.cap_simulation import cap_simulation
from orchestration.measures.quality import segment_quality
from orchestration.measures.tables import MEASURES, TABLES

#: Given the file of a build and the policy (the project's vars), the rows of a table: its columns in their order.
Measure = Callable[[duckdb.DuckDBPyConnection, Mapping[str, Any]], Iterable[tuple[Any, ...]]]

#: Table -> what computes its rows. Each reads ``intermediate`` and ``marts`` of the same file, and no clock.
MEASURE_OF: dict[str, Measure] = {
    "segment_quality": segment_quality,
    "ab_test_results": ab_tests.results,
    "cap_simulation": cap_simulation,
}


def measure(
    con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any], tables: Collection[str] = tuple(MEASURE_OF)
) -> None:
    """Compute every measure, or those of some ``tables``, in place of what was there, all in one transaction.

    ``con`` is the file of a build that dbt has finished, as the database in use; ``policy`` the project's vars. Raises
    duckdb.ConstraintException where a measure is not what its table says it must be.
    """
    found = {table: list(rows_of(con, policy)) for table, rows_of in MEASURE_OF.items() if table in tables}
    con.execute("begin")
    for table, rows in found.items():
        # DuckDB takes a key that a transaction has deleted for one that is there
        con.execute(f"create or replace table {MEASURES}.{table} ({TABLES[table]})")
        if rows:
            places = ", ".join("?" for _ in rows[0])
            con.executemany(f"insert into {MEASURES}.{table} values ({places})", rows)
    con.execute("commit")


def code_of_measures() -> list[Path]:
    """Return the modules that measures follow from: a build made by others is not the same."""
    return sorted(Path(__file__).parent.glob("*.py"))
