"""The records of the sync as the marts have them: without keys, which may be addresses, and with codes for reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from orchestration.publish.hashing import keyed_hash
from orchestration.report import pipeline_runs
from orchestration.report.pipeline_runs import insert_rows

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
Contents = Iterator[tuple[str, Mapping[str, str], Iterator[Sequence[tuple[Any, ...]]]]]


def contents(file: Path, hash_key: str | None = None) -> Contents:
    """Return (table, its columns, chunks of its rows) of every record, that of runs among them.

    With ``hash_key`` a keyed hash stands for each user_id.
    """
    yield "pipeline_runs", pipeline_runs.COLUMNS, iter([pipeline_runs.finished(file)])
    for table, columns in COLUMNS.items():
        yield table, columns, _rows(file, table, hash_key)


def replace(con: duckdb.DuckDBPyConnection, schema: str, records: Contents) -> int:
    """Put records in the place of those that a schema has, in one transaction; return how many rows."""
    count = 0
    con.execute("begin")
    for table, columns, chunks in records:
        con.execute(f"delete from {schema}.{table}")
        for rows in chunks:
            insert_rows(con, f"{schema}.{table}", columns, rows)
            count += len(rows)
    con.execute("commit")
    return count


def write(con: duckdb.DuckDBPyConnection, file: Path, schema: str) -> None:
    """Put the records of the sync alone in the place of those that a schema has."""
    replace(con, schema, ((table, columns, _rows(file, table, None)) for table, columns in COLUMNS.items()))


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
