"""A landing folder in tmp_path with an in-memory DuckDB, whose every load is checked for its accounts."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.landing.contract import DATASETS
from orchestration.landing.load import LoadResult, LoadSettings, create_raw_schema, load_landing

SETTINGS = LoadSettings(
    channels=frozenset({"email", "sms", "push", "whatsapp"}),
    consent_statuses={"opt_out": "withdrawn", "subscribed": "granted"},
    settle_seconds=0,
)


def check_accounts(con: duckdb.DuckDBPyConnection) -> None:
    """For every file: rows in it = accepted + rejected, and every accepted row is somewhere, once."""
    for load_id, dataset, read, accepted, rejected, duplicate, superseded, erased in con.execute(
        """select load_id, dataset, rows_read, rows_accepted, rows_rejected, rows_duplicate, rows_superseded,
        rows_erased from raw.load_files"""
    ).fetchall():
        assert read == accepted + rejected
        numbers = con.execute(
            f"select row_number from raw.{dataset} where load_id = ?"
            " union all select row_number from raw.rejected_rows where load_id = ?",
            [load_id, load_id],
        ).fetchall()
        assert len(numbers) == read - duplicate - superseded - erased
        assert len(set(numbers)) == len(numbers)
        assert all(1 <= number <= read for (number,) in numbers)
        assert con.execute("select count(*) from raw.rejected_rows where load_id = ?", [load_id]).fetchone() == (
            rejected,
        )
    for dataset in DATASETS.values():
        if dataset.keeping == "deduplicated":
            keys = ", ".join(dataset.key)
            assert (
                con.execute(f"select {keys} from raw.{dataset.name} group by {keys} having count(*) > 1").fetchall()
                == []
            )
            assert con.execute(
                f"select count(*) from raw.{dataset.name} where key_hash <> hash({keys})"
            ).fetchone() == (0,)


class World:
    """A landing folder and the database it is loaded into."""

    def __init__(self, folder: Path) -> None:
        self.landing = folder / "landing"
        self.landing.mkdir()
        self.con = duckdb.connect(config={"threads": 1})
        create_raw_schema(self.con)
        self.settings = SETTINGS
        self.now = datetime(2030, 1, 1, tzinfo=UTC)
        self.lines: list[str] = []

    def set(self, **changes: Any) -> None:
        self.settings = replace(self.settings, **changes)

    def write(self, file: str, content: str | bytes | list[dict[str, Any]]) -> Path:
        """Write a file: text, bytes, or rows that become JSON lines; gzipped where the name says so."""
        path = self.landing / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list):
            content = "".join(json.dumps(row) + "\n" for row in content)
        if isinstance(content, str):
            content = content.encode()
        if file.endswith(".gz"):
            content = gzip.compress(content)
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_bytes(content)
        if path.stat().st_mtime_ns <= before:
            os.utime(path, ns=(before + 1, before + 1))
        return path

    def parquet(self, file: str, select: str) -> Path:
        """Write the result of a query as a Parquet file."""
        path = self.landing / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with duckdb.connect() as other:
            other.execute("set TimeZone = 'America/New_York'")
            other.execute(f"copy ({select}) to '{path}' (format parquet)")
        return path

    def load(self) -> LoadResult:
        result = load_landing(self.con, self.landing, self.settings, lambda: self.now, self.lines.append)
        check_accounts(self.con)
        return result

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()

    def one(self, sql: str) -> Any:
        ((value,),) = self.query(sql)
        return value

    def column(self, sql: str) -> list[Any]:
        return [value for (value,) in self.query(sql)]

    def ledger(self, file: str) -> dict[str, int]:
        names = ("read", "accepted", "rejected", "duplicate", "superseded", "erased")
        columns = ", ".join(f"rows_{name}" for name in names)
        (row,) = self.query(f"select {columns} from raw.load_files where file = '{file}'")
        return dict(zip(names, row, strict=True))

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything in the schema, in a total order."""
        tables = self.column("select table_name from duckdb_tables() where schema_name = 'raw' order by all")
        return {table: self.query(f"from raw.{table} order by all") for table in tables}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[[], World]:
    """Makes worlds beside each other."""
    count = 0

    def make() -> World:
        nonlocal count
        count += 1
        folder = tmp_path / f"world-{count}"
        folder.mkdir()
        return World(folder)

    return make


def event(event_id: str = "e1", **values: Any) -> dict[str, Any]:
    """A good event, with changes."""
    row = {
        "event_id": event_id,
        "user_id": "u1",
        "event": "page",
        "timestamp": "2024-03-01T10:00:00Z",
        **values,
    }
    return {name: value for name, value in row.items() if value is not None}


@pytest.fixture
def make_event() -> Callable[..., dict[str, Any]]:
    return event
