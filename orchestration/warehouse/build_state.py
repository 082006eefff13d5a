"""What a file holds: the fingerprint of its last whole build, the dates that were built, and the segment history."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import NamedTuple

import duckdb

from orchestration.landing.quoting import identifier

#: Schema of the tables that are published.
MARTS = "marts"

#: Where fingerprints are kept: of a build, in its file; of the addresses of its date, and of staging and rollups, in
#: the working file.
BUILD, ADDRESSES, UPSTREAM = "history.build_state", "control.build_state", "control.upstream_state"

#: Families whose segments follow the RFM cut points.
RECUT_FAMILIES = ("loyalty_basket", "rfm", "value_tier")

_TABLES = {
    "build_state": "fingerprint varchar",
    "built_dates": "as_of date, is_final boolean, built_at timestamp",
}
#: What a date that is in the history says of it. Dates of intraday builds, and those built before there was a history,
#: are not in it.
_MORE_OF_BUILT_DATES = {"cut_date": "date", "previous_cut_date": "date", "has_history": "boolean"}
_HISTORY_TABLES = {
    # a row a user and built date that gave other segments than the built date before it; columns of families follow
    "segment_changes": "user_id varchar, as_of date, valid_to date, recut_families varchar",
    "recut_segments": f"as_of date, user_id varchar, {', '.join(f'{family} varchar' for family in RECUT_FAMILIES)}",
    "segment_sizes": "as_of date, family varchar, segment varchar, users bigint",
    "segment_moves": "period varchar, period_start date, family varchar, from_segment varchar, to_segment varchar, "
    "users bigint, is_only_cut_points boolean",
}
_NOT_FAMILIES = ("user_id", "as_of", "valid_to", "recut_families")


class BuiltDate(NamedTuple):
    """A date that was built, whether for good, and when."""

    as_of: date
    is_final: bool
    built_at: datetime


def create_history_schema(con: duckdb.DuckDBPyConnection, families: Iterable[str] | None = None) -> None:
    """Create the tables about builds, empty, where they are missing.

    With the names of the published ``families`` those of the segment history too; a family without a column gets one.
    """
    con.execute("create schema if not exists history")
    _create(con, _TABLES)
    missing = _MORE_OF_BUILT_DATES.keys() - set(_columns(con, "built_dates"))
    for column in (name for name in _MORE_OF_BUILT_DATES if name in missing):
        con.execute(f"alter table history.built_dates add column {column} {_MORE_OF_BUILT_DATES[column]}")
    if families is not None:
        _create(con, _HISTORY_TABLES)
        for family in sorted(set(families) - set(history_families(con))):
            con.execute(f"alter table history.segment_changes add column {identifier(family)} varchar")


def _create(con: duckdb.DuckDBPyConnection, tables: dict[str, str]) -> None:
    for name, columns in tables.items():
        con.execute(f"create table if not exists history.{name}({columns})")


def _columns(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    return [column[0] for column in con.execute(f"from history.{table} limit 0").description]


def history_families(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return the families that the history has a column of, sorted: those published now or once."""
    return sorted(set(_columns(con, "segment_changes")) - set(_NOT_FAMILIES))


def stored_fingerprint(con: duckdb.DuckDBPyConnection, table: str = BUILD) -> str | None:
    """Return the fingerprint of the last whole build, or None while there is none."""
    row = con.execute(f"select fingerprint from {table}").fetchone()
    return row[0] if row else None


def store_fingerprint(con: duckdb.DuckDBPyConnection, fingerprint: str | None, table: str = BUILD) -> None:
    """Replace the fingerprint; None says that what the file holds is not whole."""
    con.execute("begin")
    con.execute(f"delete from {table}")
    if fingerprint is not None:
        con.execute(f"insert into {table} values (?)", [fingerprint])
    con.execute("commit")


def final_dates(con: duckdb.DuckDBPyConnection) -> set[date]:
    """Return the dates that have a final build."""
    return {row[0] for row in con.execute("select as_of from history.built_dates where is_final").fetchall()}


def built_date(con: duckdb.DuckDBPyConnection, database: str | None = None) -> BuiltDate:
    """Return the date of the build that the file holds, or that of an attached ``database``."""
    schema = f"{identifier(database)}.{MARTS}" if database else MARTS
    row = con.execute(f"select as_of, is_final, built_at from {schema}.build_info").fetchone()
    if row is None:
        raise ValueError("build_info has no row")
    return BuiltDate(*row)


def is_recorded(con: duckdb.DuckDBPyConnection, built: BuiltDate) -> bool:
    """Whether this very build, and no other of its date, is among the dates that were built."""
    found = con.execute("select is_final, built_at from history.built_dates where as_of = ?", [built.as_of]).fetchall()
    return found == [tuple(built)[1:]]


def add_built_date(con: duckdb.DuckDBPyConnection, built: BuiltDate) -> None:
    """Record a date that was built, in place of an earlier build of that date."""
    con.execute("begin")
    con.execute("delete from history.built_dates where as_of = ?", [built.as_of])
    con.execute("insert into history.built_dates(as_of, is_final, built_at) values (?, ?, ?)", list(built))
    con.execute("commit")
