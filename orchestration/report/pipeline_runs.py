"""The record of runs: a row a run and stage, in a SQLite file of its own that outlives the tables it speaks of.

A record that can't be written never fails a run: it is a warning.
"""

from __future__ import annotations

import logging
import os
import re
import resource
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from orchestration import clock
from orchestration.errors import BarometerError

SUCCEEDED, FAILED, SKIPPED, KILLED = "succeeded", "failed", "skipped", "killed"

#: Columns, with their types in DuckDB. The stages are load, build, publish, extract, and `sync <destination>` of each.
COLUMNS = {
    "run_id": "varchar",
    "as_of": "date",
    "kind": "varchar",
    "stage": "varchar",
    "started_at": "timestamp",
    "rows": "bigint",
    "seconds": "double",
    "peak_memory_mb": "double",
    "outcome": "varchar",
    "error": "varchar",
}
_TABLE = """
    create table if not exists pipeline_runs(
        run_id text not null, as_of text not null, kind text not null, stage text not null, started_at text not null,
        rows integer, seconds real, peak_memory_mb real, outcome text, error text, primary key (run_id, stage))
"""
_T = TypeVar("_T")
_WAIT_SECONDS = 10
_MOST = 120
#: A word that can't be an address, a path or a value: no @, no slash, no quotes, no long number.
_PLAIN_WORD = re.compile(r"(?!'|.*[0-9]{5})[\w%.,;()'-]+")
_log = logging.getLogger("barometer")


@dataclass(frozen=True)
class Run:
    """What the rows of one run share."""

    run_id: str
    as_of: date
    kind: str


@dataclass
class Stage:
    """What a stage says of itself before it ends."""

    rows: int | None = None
    is_skipped: bool = False
    #: Whether a child process did its work, whose memory counts too.
    has_child: bool = False


@contextmanager
def recording(file: Path, run: Run, stage: str) -> Iterator[Stage]:
    """Keep a row of a stage while it goes on; how it ended, and what it took, when it has."""
    told, started = Stage(), time.perf_counter()
    _try(
        file,
        lambda con: con.execute(
            "insert or replace into pipeline_runs(run_id, as_of, kind, stage, started_at) values (?, ?, ?, ?, ?)",
            [run.run_id, run.as_of.isoformat(), run.kind, stage, _text(clock.now())],
        ),
    )

    def end(outcome: str, error: str | None) -> None:
        values = [told.rows, round(time.perf_counter() - started, 3), peak_memory_mb(told.has_child), outcome, error]
        _try(
            file,
            lambda con: con.execute(
                "update pipeline_runs set rows = ?, seconds = ?, peak_memory_mb = ?, outcome = ?, error = ? "
                "where run_id = ? and stage = ?",
                [*values, run.run_id, stage],
            ),
        )

    try:
        yield told
    except BaseException as error:
        end(FAILED, in_short(error))
        raise
    end(SKIPPED if told.is_skipped else SUCCEEDED, None)


def close_killed(file: Path, run_id: str) -> None:
    """Say of rows that another run left open that it was killed. Whoever calls it holds the lock of the warehouse."""
    _try(
        file,
        lambda con: con.execute(
            "update pipeline_runs set outcome = ? where outcome is null and run_id <> ?", [KILLED, run_id]
        ),
    )


def forget(file: Path, now: datetime, days: int, intraday_days: int) -> int:
    """Delete the rows of runs that began longer ago than ``days``, of intraday ones than ``intraday_days``."""

    def delete(con: sqlite3.Connection) -> int:
        before = [_text(now - timedelta(days=number)) for number in (days, intraday_days)]
        condition = "started_at < ? or (kind = 'intraday' and started_at < ?)"
        return con.execute(f"delete from pipeline_runs where {condition}", before).rowcount

    return _try(file, delete) or 0


def finished(file: Path) -> list[tuple[Any, ...]]:
    """Return the rows of stages that have ended, in the order of COLUMNS, the oldest first."""

    def read(con: sqlite3.Connection) -> list[tuple[Any, ...]]:
        return con.execute(
            f"select {', '.join(COLUMNS)} from pipeline_runs where outcome is not null "
            "order by started_at, run_id, stage"
        ).fetchall()

    return (_try(file, read) or []) if file.exists() else []


def last_run(file: Path) -> list[dict[str, Any]]:
    """Return the stages that have ended of the run whose stage began last, in the order in which they began."""

    def read(con: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = con.execute(
            f"select {', '.join(COLUMNS)} from pipeline_runs where outcome is not null and run_id = "
            "(select run_id from pipeline_runs where outcome is not null order by started_at desc, stage limit 1) "
            "order by started_at, stage"
        ).fetchall()
        found = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        return [{**row, "started_at": datetime.fromisoformat(row["started_at"])} for row in found]

    return (_try(file, read) or []) if file.exists() else []


def of_run(file: Path, run_id: str) -> list[dict[str, Any]]:
    """Return the rows of one run, the open ones too, in the order in which the stages began."""

    def read(con: sqlite3.Connection) -> list[dict[str, Any]]:
        rows = con.execute(
            f"select {', '.join(COLUMNS)} from pipeline_runs where run_id = ? order by started_at", [run_id]
        ).fetchall()
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    return (_try(file, read) or []) if file.exists() else []


def insert_rows(
    con: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert rows into a DuckDB table in one statement: one a row would take minutes after a year of intraday runs.

    What all rows share is told once: a list of as many equal values takes longer than all the rest.
    """
    if not rows:
        return
    selected, values = [f"range({len(rows)})"], []
    for type_, column in zip(columns.values(), zip(*rows, strict=True), strict=True):
        is_shared = column.count(column[0]) == len(column)
        selected.append(f"?::{type_}" if is_shared else f"unnest(?::{type_}[])")
        values.append(column[0] if is_shared else list(column))
    con.execute(
        f"insert into {table}({', '.join(columns)}) select * exclude (position) from ("
        f"select unnest({selected[0]}) as position, {', '.join(selected[1:])})",
        values,
    )


def in_short(error: BaseException) -> str:
    """Return what may be kept of an error for years: its class, or how our own message begins, up to a value in it.

    Messages may quote a file, a path or what a row holds; these are in the log of the run alone.
    """
    if not isinstance(error, BarometerError):
        return type(error).__name__
    words = []
    for word in error.message.split("\n")[0].split(": ")[0].split():
        if not _PLAIN_WORD.fullmatch(word):
            break
        words.append(word)
    return " ".join(words).rstrip(".,;(")[:_MOST] or type(error).__name__


def peak_memory_mb(has_child: bool) -> float:
    """Return the most memory (MB of a million bytes) that this process has held so far, with a child that of both."""
    who = [resource.RUSAGE_SELF, *([resource.RUSAGE_CHILDREN] if has_child else [])]
    # Linux counts in kibibytes, macOS in bytes
    unit = 1 if sys.platform == "darwin" else 1024
    return round(sum(resource.getrusage(one).ru_maxrss for one in who) * unit / 1e6, 1)


def connect_activation(file: Path) -> sqlite3.Connection:
    """Connect to the SQLite file of what the pipeline did; it is there for its owner only, and deleted rows leave no
    bytes in it.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # the files beside it get the same mode
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    con = sqlite3.connect(file, timeout=_WAIT_SECONDS)
    try:
        con.execute("pragma journal_mode = wal")
        con.execute("pragma secure_delete = on")
        con.execute(_TABLE)
    except BaseException:
        con.close()
        raise
    return con


@contextmanager
def open_activation(file: Path) -> Iterator[sqlite3.Connection]:
    """Open that file in one transaction."""
    with closing(connect_activation(file)) as con, con:
        yield con


def _try(file: Path, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
    """Do some work in the file; where that fails, say so and go on without."""
    try:
        with open_activation(file) as con:
            return work(con)
    except (sqlite3.Error, OSError) as error:
        _log.warning("Warning: %s, the record of runs, can't be used: %s", file, error)
        return None


def _text(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="microseconds")
