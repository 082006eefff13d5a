"""What a file holds: the fingerprint of its last whole build, and the dates that were built."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple

import duckdb

#: Schema of the tables that are published.
MARTS = "marts"

#: Where fingerprints are kept: of a build, in its file; of the addresses of its date, and of staging and rollups, in
#: the working file.
BUILD, ADDRESSES, UPSTREAM = "history.build_state", "control.build_state", "control.upstream_state"


class BuiltDate(NamedTuple):
    """A date that was built, whether for good, and when."""

    as_of: date
    is_final: bool
    built_at: datetime


def create_history_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables about builds, empty, where they are missing."""
    con.execute("create schema if not exists history")
    con.execute("create table if not exists history.build_state(fingerprint varchar)")
    con.execute("create table if not exists history.built_dates(as_of date, is_final boolean, built_at timestamp)")


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


def built_date(con: duckdb.DuckDBPyConnection) -> BuiltDate:
    """Return the date of the build that the file holds."""
    row = con.execute(f"select as_of, is_final, built_at from {MARTS}.build_info").fetchone()
    if row is None:
        raise ValueError("build_info has no row")
    return BuiltDate(*row)


def add_built_date(con: duckdb.DuckDBPyConnection, built: BuiltDate) -> None:
    """Record a date that was built, in place of an earlier build of that date."""
    con.execute("begin")
    con.execute("delete from history.built_dates where as_of = ?", [built.as_of])
    con.execute("insert into history.built_dates values (?, ?, ?)", list(built))
    con.execute("commit")
