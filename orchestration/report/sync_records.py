"""The records of the sync as the marts have them: without keys, which may be addresses, and with codes for reasons."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import duckdb

from orchestration.publish.hashing import keyed_hash
from orchestration.report import pipeline_runs
from orchestration.warehouse.files import as_file

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
_HAS_LEDGER = "select 1 from sqlite_master where name = 'sync_ledger'"
_RUNS = f"select {', '.join(COLUMNS['sync_runs'])} from sync_runs order by started_at, run_id, destination, audience"
#: Rows of the ledger as they stand in it, in its order: which of two is shown DuckDB sorts out, in a tenth of the time.
_ROWS = """
    select destination, audience, user_id, plan_date, operation, status, code, at
    from sync_ledger where user_id <> '' and coalesce(must_remove, '') <> 'erased'
"""
#: A user whose key has changed may have two rows for a while: the one that needs attention is shown.
_SHOWN = """
    qualify row_number() over (
        partition by destination, audience, user_id
        order by
            case status when 'unknown' then 0 when 'rejected' then 1 when 'pending' then 2 else 3 end,
            updated_at desc, plan_date, operation, error
    ) = 1
    order by destination, audience, user_id
"""


def write(
    con: duckdb.DuckDBPyConnection, file: Path, schema: str, hash_key: str | None = None, has_runs: bool = False
) -> int:
    """Put the records of a file in the place of those that a schema has, in one transaction; return how many rows.

    ``has_runs``: those of the pipeline's runs too. With ``hash_key`` a keyed hash stands for each user_id.
    """
    con.execute("begin")
    count = 0
    if has_runs:
        count += _replace(con, f"{schema}.pipeline_runs", pipeline_runs.COLUMNS, pipeline_runs.finished(file))
    with closing(pipeline_runs.connect_activation(file)) if file.exists() else nullcontext() as ledger:
        is_there = ledger is not None and ledger.execute(_HAS_LEDGER).fetchone() is not None
        runs = ledger.execute(_RUNS).fetchall() if ledger is not None and is_there else []
        count += _replace(con, f"{schema}.sync_runs", COLUMNS["sync_runs"], runs)
        con.execute(f"delete from {schema}.sync_rows")
        if ledger is not None and is_there:
            count += _write_rows(con, f"{schema}.sync_rows", ledger, file.parent, hash_key)
    con.execute("commit")
    return count


def _replace(
    con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
) -> int:
    con.execute(f"delete from {table}")
    pipeline_runs.insert_rows(con, table, columns, rows)
    return len(rows)


def _write_rows(
    con: duckdb.DuckDBPyConnection, table: str, ledger: sqlite3.Connection, folder: Path, hash_key: str | None
) -> int:
    columns = COLUMNS["sync_rows"]
    found: Iterable[tuple[Any, ...]] = ledger.execute(_ROWS)
    if hash_key is not None:
        found = ((*row[:2], keyed_hash(row[2], hash_key), *row[3:]) for row in found)
    values = ", ".join(f"cast(nullif({name}, '') as {type_}) as {name}" for name, type_ in columns.items())
    with as_file(found, list(columns), folder) as source:
        con.execute(
            f"insert into {table}({', '.join(columns)}) select * from (select {values} from {source}) as found {_SHOWN}"
        )
    ((count,),) = con.execute(f"select count(*) from {table}").fetchall()
    return int(count)
