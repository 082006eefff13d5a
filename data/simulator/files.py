"""Writes tables as landing files: Parquet, CSV and JSON lines, with and without gzip.

DuckDB, whose version is fixed, turns codes into text and does all compressing, one thread a file: the bytes depend
neither on the machine's zlib nor on how many files are written at the same time.
"""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import duckdb

from data.simulator.parameters import Parameters
from data.simulator.relations import quoted
from data.simulator.tables import HISTORY, Table, rows_of
from orchestration.landing.contract import DATASETS

Format = Literal["mixed", "parquet"]

#: A row written by hand: a dict, or a line as it is.
HandWritten = dict[str, Any] | str


@dataclass(frozen=True)
class FilePlan:
    """One file: the rows of a dataset that arrive from day ``first`` up to, not including, ``last``."""

    dataset: str
    path: str
    first: int
    last: int
    #: How times are written: UTC with a Z (0), with an offset, or (None) as UTC without saying so.
    offset_hours: int | None = 0
    lists_as_json: bool = False

    @property
    def endings(self) -> list[str]:
        """The endings of the file's name, such as csv and gz."""
        return Path(self.path).name.split(".")[1:]


def plan_files(parameters: Parameters, format_: Format) -> list[FilePlan]:
    """Say which files there are; those of a dataset follow each other without gaps."""
    days = parameters.days
    last = days - 1
    folder = f"{parameters.last_day:%Y/%m/%d}"

    def split(dataset: str, name: str, last_name: str, first: int = HISTORY) -> list[FilePlan]:
        return [
            FilePlan(dataset, f"{dataset}/{name}", first, last),
            FilePlan(dataset, f"{dataset}/{folder}/{last_name}", last, days),
        ]

    consents = split("consents", "consents.csv.gz", "consents.jsonl", 0)
    plans = [
        *_monthly("events", ("parquet", "csv.gz", "jsonl.gz"), "jsonl", parameters, HISTORY),
        FilePlan("orders", "orders/history.parquet", HISTORY, 0),
        *_monthly("orders", ("csv", "jsonl.gz", "parquet"), "csv", parameters),
        FilePlan("order_items", "order_items/history.csv.gz", HISTORY, 0),
        *split("order_items", "order_items.parquet", "order_items.csv", 0),
        *_monthly("messages", ("csv.gz", "parquet", "jsonl.gz"), "csv", parameters, HISTORY),
        *_monthly("message_events", ("jsonl.gz", "csv.gz", "parquet"), "jsonl", parameters, HISTORY),
        *split("users", "users.csv", "users.jsonl"),
        FilePlan("identities", "identities/identities.csv.gz", HISTORY, days),
        *split("addresses", "addresses.jsonl.gz", "addresses.csv"),
        FilePlan("consents", "consents/history.parquet", HISTORY, 0),
        replace(consents[0], offset_hours=2),
        consents[1],
        FilePlan("campaigns", "campaigns/campaigns.jsonl", HISTORY, days),
        FilePlan("products", "products/products.csv", HISTORY, days, offset_hours=None),
        *split("subscriptions", "subscriptions.parquet.gz", "subscriptions.csv"),
        FilePlan("erasures", "erasures/erasures.csv", HISTORY, days),
    ]
    if format_ == "mixed":
        return plans
    return [replace(plan, path=f"{plan.path[: -len('.'.join(plan.endings)) - 1]}.parquet") for plan in plans]


def _monthly(
    dataset: str, formats: Sequence[str], format_of_last_day: str, parameters: Parameters, first: int = 0
) -> list[FilePlan]:
    """A file a month, the first from day ``first`` on, and one for the last day in a folder of its own."""
    last = parameters.days - 1
    months = sorted({parameters.date_of(day).replace(day=1) for day in range(last)})
    plans = []
    for number, month in enumerate(months):
        begins = first if number == 0 else (month - parameters.first_day).days
        ends = ((month + timedelta(days=32)).replace(day=1) - parameters.first_day).days
        path = f"{dataset}/{month:%Y-%m}.{formats[number % len(formats)]}"
        offset = (0, 2, None)[number % 3]
        plans.append(FilePlan(dataset, path, begins, min(ends, last), offset, lists_as_json=number % 2 == 0))
    folder = f"{dataset}/{parameters.last_day:%Y/%m/%d}"
    return [*plans, FilePlan(dataset, f"{folder}/{dataset}.{format_of_last_day}", last, parameters.days)]


class Writer:
    """Writes files in the background, some at a time."""

    def __init__(self, folder: Path, writers: int) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(writers)
        self._jobs: list[Future[None]] = []
        self._own = threading.local()

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=kind is not None)
        if kind is None:
            self.wait()

    def wait(self) -> None:
        """Wait for all files; raises what went wrong."""
        while self._jobs:
            self._jobs.pop().result()

    def write(
        self,
        plan: FilePlan,
        table: Table,
        select: str,
        by_hand: Sequence[HandWritten] = (),
        without_key: int = 0,
    ) -> None:
        """Write a file from rows of codes; ``select`` reads them from ``rows``.

        Rows written by hand follow them, in text files only. ``without_key`` rows come again without their key.
        """
        self._jobs.append(self._pool.submit(self._write, plan, table, select, by_hand, without_key))

    def copy(self, path: str, table: Table, select: str) -> None:
        """Write a Parquet file of what ``select`` reads from ``rows``."""
        self.write(FilePlan("", path, 0, 0), table, select)

    def _write(
        self, plan: FilePlan, table: Table, select: str, by_hand: Sequence[HandWritten], without_key: int
    ) -> None:
        """Write a file over the connection of this thread."""
        if not hasattr(self._own, "connection"):
            self._own.connection = open_connection()
        write_file(self._own.connection, self.folder, plan, table, select, by_hand, without_key)


def open_connection() -> duckdb.DuckDBPyConnection:
    """A database in memory that writes files, with one thread."""
    return duckdb.connect(config={"threads": 1})


def write_file(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    plan: FilePlan,
    table: Table,
    select: str,
    by_hand: Sequence[HandWritten] = (),
    without_key: int = 0,
) -> None:
    """Write one file; see :meth:`Writer.write`."""
    path = folder / plan.path
    path.parent.mkdir(parents=True, exist_ok=True)
    if table:
        connection.register("rows", table)
    if plan.endings[0] == "parquet":
        key = DATASETS[plan.dataset].key[0] if without_key else ""
        again = f" union all (select * replace (null as {key}) from ({select}) limit {without_key})"
        _write_parquet(connection, select + (again if without_key else ""), path)
        return
    columns = _text_columns(connection, plan, select) if rows_of(table) else {}
    names = list(columns) or list(DATASETS[plan.dataset].column_names)
    only_by_hand = sorted({name for row in by_hand if isinstance(row, dict) for name in row} - set(names))
    extra = _lines_by_hand(plan, [*names, *only_by_hand], by_hand)
    connection.execute("create or replace temp table extra as select unnest($1::varchar[]) as line", [extra])
    if columns:
        header = [] if plan.endings[0] == "jsonl" else [f"select {quoted(extra[0])} as line"]
        tail = f"select line from extra offset {len(header)}"
        missing = "" if plan.endings[0] == "jsonl" else "," * len(only_by_hand)
        body = (
            f"select {_line(plan, columns)} || '{missing}' as line from (select {_columns_as(columns)} from ({select}))"
        )
        lines = " union all ".join(f"({part})" for part in (*header, body, tail))
    else:
        lines = "select line from extra"
    connection.execute(
        f"copy ({lines}) to {quoted(str(path))} (format csv, header false, quote '', escape '', "
        f"delimiter E'\\x01', compression {'gzip' if plan.endings[-1] == 'gz' else 'none'})"
    )


def _write_parquet(connection: duckdb.DuckDBPyConnection, select: str, path: Path) -> None:
    plain = path.with_name(path.name.removesuffix(".gz"))
    # A small limit: looking for a dictionary of ids, which has no use, takes a fifth of the time.
    options = "format parquet, compression zstd, dictionary_size_limit 2000"
    connection.execute(f"copy ({select}) to {quoted(str(plain))} ({options})")
    if plain != path:
        content = plain.read_bytes()
        plain.unlink()
        write_gzip(connection, content, path)


def write_gzip(connection: duckdb.DuckDBPyConnection, content: bytes, path: Path) -> None:
    """Write bytes as a gzip file."""
    connection.execute("create or replace temp table blobs as select $1::blob as content", [content])
    connection.execute(f"copy blobs to {quoted(str(path))} (format blob, compression gzip)")


def _text_columns(connection: duckdb.DuckDBPyConnection, plan: FilePlan, select: str) -> dict[str, str]:
    """SQL for each column as it is written in a text file, by its name."""
    described = connection.execute(f"describe {select}").fetchall()
    is_csv = plan.endings[0] == "csv"
    return {name: _cell(f'"{name}"', name, type_, plan, is_csv) for name, type_, *_ in described}


def _cell(column: str, name: str, type_: str, plan: FilePlan, is_csv: bool) -> str:
    if type_ == "TIMESTAMP":
        hours = plan.offset_hours or 0
        moment = f"{column} + interval {hours} hour" if hours else column
        ending = "Z" if plan.offset_hours == 0 else f"+{hours:02d}:00" if hours else ""
        return f"strftime({moment}, '%Y-%m-%dT%H:%M:%S{ending}')"
    if type_.endswith("[]") and is_csv:
        return f"to_json({column})::varchar" if plan.lists_as_json else f"array_to_string({column}, '|')"
    if name == "properties" and not is_csv:
        return f"{column}::json"
    return f"{column}::varchar" if is_csv else column


def _columns_as(columns: dict[str, str]) -> str:
    return ", ".join(f'{sql} as "{name}"' for name, sql in columns.items())


def _line(plan: FilePlan, columns: dict[str, str]) -> str:
    """SQL for a line of a text file from its columns."""
    if plan.endings[0] == "jsonl":
        packed = ", ".join(f'"{name}" := "{name}"' for name in columns)
        # An empty object, patched with the row, takes its values and leaves out what is null.
        return f"json_merge_patch('{{}}', to_json(struct_pack({packed})))::varchar"
    quote = chr(34)
    cells = [
        f"""case when "{name}" is null then '' when regexp_matches("{name}", '[,"\n]')
            then '{quote}' || replace("{name}", '{quote}', '{quote}{quote}') || '{quote}' else "{name}" end"""
        for name in columns
    ]
    return " || ',' || ".join(cells)


def _lines_by_hand(plan: FilePlan, columns: list[str], by_hand: Sequence[HandWritten]) -> list[str]:
    """Lines for rows written by hand; those of a CSV file begin with its header."""
    if plan.endings[0] == "jsonl":
        return [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in by_hand]
    return [",".join(columns), *(row if isinstance(row, str) else _csv_line(row, columns) for row in by_hand)]


def _csv_line(row: dict[str, Any], columns: list[str]) -> str:
    text = io.StringIO(newline="")
    csv.DictWriter(text, columns, lineterminator="", extrasaction="ignore").writerow(row)
    return text.getvalue()
