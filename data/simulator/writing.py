"""Writes tables as landing files: Parquet, CSV and JSON lines, with and without gzip.

All compressing is done by DuckDB, whose version is fixed: the bytes don't depend on the machine's zlib.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import duckdb

from data.simulator.parameters import DAY, Parameters
from data.simulator.rows import Row, Tables
from orchestration.landing.contract import DATASETS, Dataset

_PARQUET_TYPES = {"number": "DECIMAL(12,2)", "list": "VARCHAR"}
_KEEP_TYPES = {"integer": "BIGINT", "boolean": "BOOLEAN", "timestamp": "TIMESTAMP", "date": "DATE"}
_EARLIEST, _LATEST = -(2**62), 2**62


@dataclass(frozen=True)
class FilePlan:
    """One file: which rows (by time of arrival) of which dataset, and how it is written."""

    dataset: str
    path: str
    first: int = _EARLIEST
    last: int = _LATEST
    offset_hours: int | None = 0
    lists_as_json: bool = False
    is_cut_off: bool = False


def plan_files(parameters: Parameters) -> list[FilePlan]:
    """Say which files there are."""
    last_day = parameters.end - DAY
    small = [
        FilePlan("users", "users/users.csv", last=last_day),
        FilePlan("users", f"{_day_folder('users', parameters)}/users.jsonl", first=last_day),
        FilePlan("identities", "identities/identities.csv.gz"),
        FilePlan("addresses", "addresses/addresses.jsonl.gz", last=last_day),
        FilePlan("addresses", f"{_day_folder('addresses', parameters)}/addresses.csv", first=last_day),
        FilePlan("consents", "consents/consents.parquet", last=parameters.start),
        FilePlan("consents", "consents/consents.csv.gz", first=parameters.start, last=last_day, offset_hours=2),
        FilePlan("consents", f"{_day_folder('consents', parameters)}/consents.jsonl", first=last_day),
        FilePlan("campaigns", "campaigns/campaigns.jsonl"),
        FilePlan("products", "products/products.csv", offset_hours=None),
        FilePlan("products", "products/supplier.csv.gz", is_cut_off=True),
        FilePlan("subscriptions", "subscriptions/subscriptions.parquet.gz", last=last_day),
        FilePlan("subscriptions", f"{_day_folder('subscriptions', parameters)}/subscriptions.csv", first=last_day),
        FilePlan("erasures", "erasures/erasures.csv"),
    ]
    return [
        *_dated("events", ("parquet", "csv.gz", "jsonl.gz"), "jsonl", parameters),
        FilePlan("orders", "orders/history.parquet", last=parameters.start),
        *_dated("orders", ("csv", "jsonl.gz", "parquet"), "csv", parameters),
        FilePlan("order_items", "order_items/history.csv.gz", last=parameters.start),
        FilePlan("order_items", "order_items/order_items.parquet", first=parameters.start, last=last_day),
        FilePlan("order_items", f"{_day_folder('order_items', parameters)}/order_items.csv", first=last_day),
        *_dated("messages", ("csv.gz", "parquet", "jsonl.gz"), "csv", parameters),
        *_dated("message_events", ("jsonl.gz", "csv.gz", "parquet"), "jsonl", parameters),
        *small,
    ]


def _day_folder(dataset: str, parameters: Parameters) -> str:
    return f"{dataset}/{parameters.last_day:%Y/%m/%d}"


def _dated(dataset: str, formats: tuple[str, ...], format_of_last_day: str, parameters: Parameters) -> list[FilePlan]:
    """A file a month, and one for the last day in a folder of its own."""
    last_day = parameters.end - DAY
    months = sorted({parameters.date_of(day).replace(day=1) for day in range(parameters.days - 1)})
    plans = []
    for number, month in enumerate(months):
        following = (month + timedelta(days=32)).replace(day=1)
        ends = min(parameters.start + (following - parameters.first_day).days * DAY, last_day)
        begins = parameters.start + max((month - parameters.first_day).days, 0) * DAY
        path = f"{dataset}/{month:%Y-%m}.{formats[number % len(formats)]}"
        offset = (0, 2, None)[number % 3]
        plans.append(FilePlan(dataset, path, begins, ends, offset, lists_as_json=number % 2 == 0))
    folder = _day_folder(dataset, parameters)
    return [*plans, FilePlan(dataset, f"{folder}/{dataset}.{format_of_last_day}", first=last_day)]


def write_files(parameters: Parameters, tables: Tables, folder: Path) -> dict[str, int]:
    """Write all files and return the number of rows of each by its path."""
    counts = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("create table blobs (content blob)")
        for plan in plan_files(parameters):
            rows = [
                record
                for arrives, record in tables[plan.dataset]
                if plan.first <= arrives < plan.last and arrives < parameters.end
            ]
            if not rows:
                continue
            path = folder / plan.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(connection, plan, rows, path)
            counts[plan.path] = len(rows)
    about = {
        "as_of": parameters.last_day.isoformat(),
        "plan_date": parameters.date_of(parameters.days).isoformat(),
        "seed": parameters.seed,
        "users": parameters.users,
        "days": parameters.days,
    }
    (folder / "_sample.json").write_bytes((json.dumps(about, indent=2) + "\n").encode())
    return counts


def _write(connection: duckdb.DuckDBPyConnection, plan: FilePlan, rows: list[Row | str], path: Path) -> None:
    dataset = DATASETS[plan.dataset]
    formats = path.name.split(".")[1:]
    if formats[0] == "parquet":
        plain = path.with_name(path.name.removesuffix(".gz"))
        _write_parquet(connection, dataset, rows, plain)
        if formats[-1] != "gz":
            return
        content = plain.read_bytes()
        plain.unlink()
    else:
        lines = _csv_text if formats[0] == "csv" else _json_text
        content = lines(dataset, rows, plan).encode()
    if formats[-1] != "gz":
        path.write_bytes(content)
        return
    _gzip(connection, content, path)
    if plan.is_cut_off:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])


def _gzip(connection: duckdb.DuckDBPyConnection, content: bytes, path: Path) -> None:
    connection.execute("delete from blobs")
    connection.execute("insert into blobs values (?)", [content])
    connection.execute("copy (select content from blobs) to ? (format blob, compression gzip)", [str(path)])


def _time(value: int, offset_hours: int | None) -> str:
    """Write a time as UTC with a Z, with an offset, or (None) as UTC without saying so."""
    if offset_hours:
        return datetime.fromtimestamp(value, timezone(timedelta(hours=offset_hours))).isoformat()
    text = datetime.fromtimestamp(value, UTC).isoformat()[:19]
    return text if offset_hours is None else f"{text}Z"


def _with_times(dataset: Dataset, rows: list[Row | str], offset_hours: int | None) -> Iterator[Row | str]:
    """The rows without their empty values and with their times written out."""
    times = frozenset(column.name for column in dataset.columns if column.type == "timestamp")
    for row in rows:
        if isinstance(row, str):
            yield row
            continue
        yield {
            name: _time(value, offset_hours) if name in times and isinstance(value, int) else value
            for name, value in row.items()
            if value is not None
        }


def _columns_of(dataset: Dataset, rows: Iterable[Row | str]) -> list[str]:
    """The columns that a file needs: those that have a value, in the contract's order, then unknown ones."""
    used = {name for row in rows if isinstance(row, dict) for name, value in row.items() if value is not None}
    used |= {column.name for column in dataset.columns if column.required}
    known = [name for name in dataset.column_names if name in used]
    return known + sorted(used - set(known))


def _cell(value: Any, lists_as_json: bool) -> Any:
    """What a value looks like in CSV."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list) and not lists_as_json:
        return "|".join(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _csv_text(dataset: Dataset, rows: list[Row | str], plan: FilePlan) -> str:
    columns = _columns_of(dataset, rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in _with_times(dataset, rows, plan.offset_hours):
        if isinstance(row, str):
            text.write(row + "\n")
        else:
            writer.writerow({name: _cell(value, plan.lists_as_json) for name, value in row.items()})
    return text.getvalue()


def _json_text(dataset: Dataset, rows: list[Row | str], plan: FilePlan) -> str:
    encode = json.JSONEncoder(ensure_ascii=False).encode
    typed = _with_times(dataset, rows, plan.offset_hours)
    return "".join(f"{row if isinstance(row, str) else encode(row)}\n" for row in typed)


def _write_parquet(connection: duckdb.DuckDBPyConnection, dataset: Dataset, rows: list[Row | str], path: Path) -> None:
    """Write a typed Parquet file by way of a CSV file."""
    columns = _columns_of(dataset, rows)
    types = {name: _parquet_type(dataset, name) for name in columns}
    detour = path.with_name(f"_{path.name}.csv")
    detour.write_text(_csv_text(dataset, rows, FilePlan(dataset.name, "", offset_hours=None)), encoding="utf-8")
    lists = [column.name for column in dataset.columns if column.type == "list"]
    chosen = ", ".join(
        f"""string_split("{name}", '|') as "{name}\"""" if name in lists else f'"{name}"' for name in columns
    )
    options = "header = true, auto_detect = false, quote = '\"', escape = '\"'"
    reader = f"read_csv($source, {options}, columns = {types})"
    connection.execute(
        f"copy (select {chosen} from {reader}) to $target (format parquet, compression zstd)",
        {"source": str(detour), "target": str(path)},
    )
    detour.unlink()


def _parquet_type(dataset: Dataset, name: str) -> str:
    kind = dataset.column(name).type
    return _PARQUET_TYPES.get(kind) or _KEEP_TYPES.get(kind, "VARCHAR")
