"""The files of an extract: the same rows as CSV and as Parquet, in a total order, for their owner only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import identifier, literal

#: A cell that begins with one of these is run as a formula by spreadsheets, unless it is a plain number.
_FORMULA = r"^[=+\-@\t\r\n|%＝＋－＠]"
_NUMBER = r"^[+\-]?[0-9]+(\.[0-9]+)?$"
_FILE_NAME = re.compile(r"[A-Za-z0-9_]+")


def write_pair(con: duckdb.DuckDBPyConnection, path: Path, rows: str, columns: Sequence[str], order: str) -> int:
    """Write ``path``.csv and ``path``.parquet, and return how many rows each has.

    ``rows`` is what follows a select list: from a table, perhaps where something holds. ``order`` is the list of
    columns that sorts them, all in the table. No cell of the CSV is a formula. ``con`` has one thread, else the same
    rows may come out as other bytes.
    """
    harmless = ", ".join(_harmless(column) for column in columns)
    file = path.with_name(f"{path.name}.csv")
    con.execute(f"copy (select {harmless} {rows} order by {order}) to {literal(str(file))} (format csv, header true)")
    file.chmod(0o600)
    return write_parquet(con, path, rows, columns, order)


def write_parquet(con: duckdb.DuckDBPyConnection, path: Path, rows: str, columns: Sequence[str], order: str) -> int:
    """Write ``path``.parquet alone, as `write_pair` does."""
    selected = ", ".join(identifier(column) for column in columns)
    file = path.with_name(f"{path.name}.parquet")
    con.execute(
        f"copy (select {selected} {rows} order by {order}) to {literal(str(file))} (format parquet, compression zstd)"
    )
    file.chmod(0o600)
    row = con.execute(f"select count(*) {rows}").fetchone()
    return int(row[0]) if row else 0


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
