"""The records of the sync as the marts have them: without keys, which may be addresses, and with codes for reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from orchestration.publish.hashing import keyed_hash
from orchestration.report import pipeline_runs

#: Table -> its columns, with their types in DuckDB.
COLUMNS = {
    "sync_runs": {
        "run_id": "varchar",
        "destination": "varchar",
        "audience": "varchar",
        "as_of": "date",
        "started_at": "timestamp",
        "seconds": "double",
        "candidates": "bigint",
        "rows": "bigint",
        "sent": "bigint",
        "accepted": "bigint",
        "rejected": "bigint",
        "pending": "bigint",
        "unknown": "bigint",
        "removed": "bigint",
        "vetoed": "bigint",
        "outcome": "varchar",
        "guard": "varchar",
    },
    "sync_rows": {
        "destination": "varchar",
        "audience": "varchar",
        "user_id": "varchar",
        "plan_date": "date",
        "operation": "varchar",
        "status": "varchar",
        "error": "varchar",
        "updated_at": "timestamp",
    },
}
#: A user whose key has changed may have two rows for a while: the one that needs attention is shown.
_ROWS = """
    select destination, audience, user_id, plan_date, operation, status, nullif(code, ''), at from (
        select *, row_number() over (
            partition by destination, audience, user_id
            order by case status when 'unknown' then 0 when 'rejected' then 1 when 'pending' then 2 else 3 end, key
        ) as position
        from sync_ledger where user_id <> '' and coalesce(must_remove, '') <> 'erased'
    )
    where position = 1 order by destination, audience, user_id
"""
_CHUNK = 50_000
Contents = Iterator[tuple[str, str, Iterator[list[list[Any]]]]]


def contents(file: Path, hash_key: str | None = None) -> Contents:
    """Return (table, statement, chunks of its rows as lists by column) of every record; `as_lists` says how it is used.

    With ``hash_key`` a keyed hash stands for each user_id.
    """
    columns = pipeline_runs.COLUMNS
    runs = pipeline_runs.finished(file)
    yield (
        "pipeline_runs",
        _statement("marts.pipeline_runs", columns),
        _lists(iter([runs] if runs else []), len(columns)),
    )
    for table, of_table in COLUMNS.items():
        yield table, _statement(f"marts.{table}", of_table), _lists(_rows(file, table, hash_key), len(of_table))


def write(con: duckdb.DuckDBPyConnection, file: Path, schema: str) -> None:
    """Put the records of the sync in the place of those that a schema has, in one transaction."""
    con.execute("begin")
    for table, columns in COLUMNS.items():
        con.execute(f"delete from {schema}.{table}")
        for lists in _lists(_rows(file, table, None), len(columns)):
            con.execute(_statement(f"{schema}.{table}", columns), lists)
    con.execute("commit")


def _statement(table: str, columns: dict[str, str]) -> str:
    lists = ", ".join(f"unnest(?::{type_}[])" for type_ in columns.values())
    return f"insert into {table}({', '.join(columns)}) select {lists}"


def _rows(file: Path, table: str, hash_key: str | None) -> Iterator[Sequence[tuple[Any, ...]]]:
    if not file.exists():
        return
    with closing(pipeline_runs.connect_activation(file)) as con:
        if con.execute("select 1 from sqlite_master where name = 'sync_ledger'").fetchone() is None:
            return
        names = ", ".join(COLUMNS["sync_runs"])
        query = _ROWS if table == "sync_rows" else f"select {names} from sync_runs order by started_at, run_id, 2, 3"
        found = con.execute(query)
        while rows := found.fetchmany(_CHUNK):
            if table == "sync_rows" and hash_key is not None:
                rows = [(*row[:2], keyed_hash(row[2], hash_key), *row[3:]) for row in rows]
            yield rows


def _lists(chunks: Iterator[Sequence[tuple[Any, ...]]], width: int) -> Iterator[list[list[Any]]]:
    for rows in chunks:
        yield [[row[number] for row in rows] for number in range(width)]
