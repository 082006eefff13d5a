"""Files of rows, in a total order and for their owner only; an extract is the same rows as CSV and as Parquet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import literal

#: A cell that begins with one of these is run as a formula by spreadsheets, unless it is a plain number.
_FORMULA = r"^[=+\-@\t\r\n|%＝＋－＠]"
_NUMBER = r"^[+\-]?[0-9]+(\.[0-9]+)?(e[+\-]?[0-9]+)?$"
#: Suffix of a file -> how DuckDB is told to write it.
FORMATS = {
    "csv": "format csv, header true",
    "parquet": "format parquet, compression zstd",
    "jsonl": "format json",
}
_FILE_NAME = re.compile(r"[A-Za-z0-9_]+")


def fill(con: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    """Fill a temp table with the rows of a query, with all threads; ``con`` has one again after it."""
    con.execute("reset threads")
    try:
        con.execute(f"create or replace temp table {table} as {query}")
    finally:
        con.execute("set threads = 1")


def write_pair(con: duckdb.DuckDBPyConnection, path: Path, rows: str, columns: Sequence[str], order: str) -> int:
    """Write ``path``.csv and ``path``.parquet, and return how many rows each has.

    ``rows`` is what follows a select list: from a table, perhaps where something holds. ``order`` is the list of
    columns that sorts them, all in the table. No cell of the CSV is a formula. ``con`` has one thread, else the same
    rows may come out as other bytes.
    """
    fill(con, "sorted_rows", f"select {', '.join(columns)} {rows} order by {order}")
    for suffix in ("parquet", "csv"):
        write_file(con, path.with_name(f"{path.name}.{suffix}"), "from sorted_rows", columns)
    return count_rows(con, "from sorted_rows")


def count_rows(con: duckdb.DuckDBPyConnection, rows: str) -> int:
    """Return how many rows there are."""
    row = con.execute(f"select count(*) {rows}").fetchone()
    return int(row[0]) if row else 0


def write_file(
    con: duckdb.DuckDBPyConnection, file: Path, rows: str, columns: Sequence[str], order: str | None = None
) -> None:
    """Write rows as `write_pair` does to one file, as what its suffix says: a key of `FORMATS`.

    Without an ``order`` they come as they lie, which one thread keeps.
    """
    selected = [_harmless(column) for column in columns] if file.suffix == ".csv" else columns
    options = FORMATS[file.suffix.removeprefix(".")]
    sorting = f"order by {order}" if order else ""
    con.execute(f"copy (select {', '.join(selected)} {rows} {sorting}) to {literal(str(file))} ({options})")
    file.chmod(0o600)


def file_name(name: str) -> str:
    """Return the name of an audience or segment as it is; raise BarometerError if it can't be that of a file."""
    if not _FILE_NAME.fullmatch(name):
        raise BarometerError(
            f"{name!r} can't be the name of an extract's file.",
            "Name audiences and segments with letters, digits and _ alone.",
        )
    return name


def _harmless(column: str) -> str:
    text = f"cast({column} as varchar)"
    return (
        f"case when regexp_matches({text}, '{_FORMULA}') and not regexp_matches({text}, '{_NUMBER}') "
        f"then '''' || {text} else {text} end as {column}"
    )
