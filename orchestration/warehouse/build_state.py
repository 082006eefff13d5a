"""What a file holds: the fingerprint of its last whole build, and the dates that were built."""

from __future__ import annotations

from datetime import date

import duckdb

#: Schema of the tables that are published.
MARTS = "marts"

#: The schema of a build file's records; the working file keeps its own fingerprint in the schema control.
HISTORY = "history"


def create_history_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables about builds, empty, where they are missing."""
    con.execute("create schema if not exists history")
    con.execute("create table if not exists history.build_state(fingerprint varchar)")
    con.execute("create table if not exists history.built_dates(as_of date, is_final boolean, built_at timestamp)")


def stored_fingerprint(con: duckdb.DuckDBPyConnection, schema: str = HISTORY) -> str | None:
    """Return the fingerprint of the last whole build, or None while there is none."""
    row = con.execute(f"select fingerprint from {schema}.build_state").fetchone()
    return row[0] if row else None


def store_fingerprint(con: duckdb.DuckDBPyConnection, fingerprint: str | None, schema: str = HISTORY) -> None:
    """Replace the fingerprint; None says that what the file holds is not whole."""
    con.execute("begin")
    con.execute(f"delete from {schema}.build_state")
    if fingerprint is not None:
        con.execute(f"insert into {schema}.build_state values (?)", [fingerprint])
    con.execute("commit")


def final_dates(con: duckdb.DuckDBPyConnection) -> set[date]:
    """Return the dates that have a final build."""
    return {row[0] for row in con.execute("select as_of from history.built_dates where is_final").fetchall()}


def add_built_date(con: duckdb.DuckDBPyConnection) -> None:
    """Record the date of the build that the file holds, in place of an earlier build of that date."""
    con.execute("begin")
    con.execute("delete from history.built_dates where as_of in (select as_of from marts.build_info)")
    con.execute("insert into history.built_dates select as_of, is_final, built_at from marts.build_info")
    con.execute("commit")
