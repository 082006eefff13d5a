"""The committed sample: its size, its formats, and that everything that can go wrong does in it."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.landing.contract import DATASETS, Column, Dataset
from orchestration.landing.phone_numbers import e164

SAMPLE = Path(__file__).parents[3] / "data" / "sample"
README = Path(__file__).parents[3] / "data" / "README.md"
CHANNELS = {"email", "sms", "push", "web_push", "in_app", "whatsapp", "telegram", "viber", "voice"}
STATUSES = {"granted", "withdrawn", "opt_in", "opt_out", "subscribed", "unsubscribed", "Granted", "Withdrawn"}
CUT_OFF = "products/supplier.csv.gz"


def _files(dataset: str) -> list[Path]:
    return sorted(path for path in (SAMPLE / dataset).rglob("*") if path.is_file())


def _rows_of(path: Path) -> Iterator[dict[str, Any] | None]:
    """The rows of a file as they are; None stands for a line that is no row."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    if ".parquet" in path.name:
        yield from _parquet_rows(content)
    elif ".csv" in path.name:
        for row in csv.DictReader(io.StringIO(content.decode(), newline="")):
            yield None if None in row else row
    else:
        for line in content.decode().splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                yield None


def _parquet_rows(content: bytes) -> Iterator[dict[str, Any]]:
    with tempfile.NamedTemporaryFile(suffix=".parquet") as plain, duckdb.connect() as connection:
        plain.write(content)
        plain.flush()
        result = connection.execute("select * from read_parquet(?)", [plain.name])
        names = [column[0] for column in result.description or []]
        for row in result.fetchall():
            yield dict(zip(names, row, strict=True))


def _time(value: Any) -> datetime | None:
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    try:
        time = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _is_readable(column: Column, value: Any) -> bool:
    if column.type == "timestamp":
        return _time(value) is not None
    if column.type in ("number", "integer"):
        return bool(re.fullmatch(r"-?\d+(\.\d+)?", str(value)))
    return True


def _choices(column: Column) -> set[str]:
    seeds = {"seed:channels": CHANNELS, "seed:consent_statuses": STATUSES}
    return seeds.get(column.choices[0], set(column.choices)) if column.choices else set()


def _reason(dataset: Dataset, row: dict[str, Any] | None) -> str | None:
    """Why a row is rejected, as the README says it."""
    if row is None:
        return "malformed_row"
    given = {name: value for name, value in row.items() if value not in (None, "")}
    for column in dataset.columns:
        value = given.get(column.name)
        if value is None:
            if column.required:
                return f"missing_{column.name}"
            continue
        if column.required and not _is_readable(column, value):
            return f"invalid_{column.name}"
        if column.strict and value not in _choices(column):
            return f"unknown_{column.name}"
        if column.non_negative and float(value) < 0:
            return f"negative_{column.name}"
    if dataset.one_of and not any(name in given for name in dataset.one_of):
        return "missing_" + "_or_".join(dataset.one_of)
    happened = _time(given.get(dataset.event_time or ""))
    received = _time(given.get("received_at"))
    if happened and happened < datetime(1970, 1, 1, tzinfo=UTC):
        return "before_min_event_date"
    if happened and received and happened > received + timedelta(days=1):
        return "after_received_at"
    return None


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, Any] | None]]:
    readable = {name: [path for path in _files(name) if not str(path).endswith(CUT_OFF)] for name in DATASETS}
    return {name: [row for path in paths for row in _rows_of(path)] for name, paths in readable.items()}


def test_sizes(rows: dict[str, list[Any]]) -> None:
    assert sum(path.stat().st_size for path in SAMPLE.rglob("*") if path.is_file()) <= 8 * 1024 * 1024
    assert 80_000 <= len(rows["events"]) <= 120_000
    assert 35_000 <= len(rows["messages"]) <= 60_000
    assert 1_900 <= len({row.get("user_id") for row in rows["users"] if row}) <= 2_100
    assert all(rows[name] for name in DATASETS)


def test_the_last_day_is_in_files_of_its_own() -> None:
    """Those that arrive on it: so that one more day can be loaded after the others."""
    folders = {path.parent.relative_to(SAMPLE).parts for path in SAMPLE.rglob("*.*") if "30" in path.parts}
    assert {parts[0] for parts in folders} >= {"events", "orders", "order_items", "messages", "message_events", "users"}
    assert {parts[1:] for parts in folders} == {("2026", "06", "30")}


def test_people_are_fictional(rows: dict[str, list[Any]]) -> None:
    """Mail addresses are of the domains for examples; telephone numbers are kept for fiction, and yet valid."""
    users = [row for row in rows["users"] if row and row.get("user_id")]
    mail = {row["email"].lower().split("@")[1] for row in users if row.get("email")}
    assert mail == {"example.com", "example.org", "example.net"}
    phones = {(row["phone"], row.get("country") or None) for row in users if row.get("phone")}
    numbers = [e164(phone, country) for phone, country in phones]
    assert len(numbers) > 900 and all(numbers)
    assert sum(not phone.startswith("+") for phone, _ in phones) > 100
    kept = re.compile(
        r"\+33(19900|26191|35301|46571|53649)\d{4}"
        r"|\+49(3023125|6990009|4066969|2214710|8999998)\d{3}"
        r"|\+44(11[34678]|1[23456]1)4960\d{3}|\+442079460\d{3}"
        r"|\+1\d{3}55501\d{2}"
        r"|\+61[2378](5550|7010)\d{4}"
        r"|\+46(8465004|3139006|4062804|9803192)\d{2}"
    )
    assert [number for number in numbers if not kept.fullmatch(str(number))] == []


def test_it_looks_like_a_shop(rows: dict[str, list[Any]]) -> None:
    users = [row for row in rows["users"] if row]
    assert len({row["country"] for row in users if row.get("country")}) >= 8
    decades = {str(row["birth_date"])[:3] for row in users if row.get("birth_date")}
    assert {"194", "196", "198", "200"} <= decades
    week_ago = datetime(2026, 6, 24, tzinfo=UTC)
    messages = (row for row in rows["messages"] if row and row.get("user_id"))
    week = Counter(row["user_id"] for row in messages if (sent := _time(row.get("sent_at"))) and sent >= week_ago)
    assert sum(count > 10 for count in week.values()) >= 5
    assert len(week) < 1500
    plans = {row.get("plan") for row in rows["subscriptions"] if row}
    assert {"monthly", "yearly"} <= plans
    assert len({row["user_id"] for row in rows["erasures"] if row}) >= 3


def test_all_formats_occur() -> None:
    formats = {"".join(path.suffixes) for name in DATASETS for path in _files(name)}
    assert formats == {".parquet", ".parquet.gz", ".csv", ".csv.gz", ".jsonl", ".jsonl.gz"}


def test_every_kind_of_bad_row_occurs(rows: dict[str, list[Any]]) -> None:
    found = Counter(
        (name, reason) for name in DATASETS for row in rows[name] if (reason := _reason(DATASETS[name], row))
    )
    reasons = {reason for _, reason in found}
    assert {"malformed_row", "before_min_event_date", "after_received_at"} <= reasons
    assert {"missing_user_id_or_anonymous_id", "missing_event_id", "missing_user_id"} <= reasons
    assert {"invalid_timestamp", "invalid_gross_amount", "negative_quantity"} <= reasons
    assert {"unknown_status", "unknown_channel", "unknown_event"} <= reasons
    assert {name for name, _ in found} == set(DATASETS) - {"erasures"}
    assert sum(found.values()) < 60


def test_nothing_in_it_stops_extracts(rows: dict[str, list[Any]]) -> None:
    assert not any(_reason(DATASETS["erasures"], row) for row in rows["erasures"])
    bad = [row for row in rows["consents"] if _reason(DATASETS["consents"], row)]
    assert bad and all(row and row["user_id"] and _time(row["occurred_at"]) for row in bad)


def test_one_file_can_not_be_read() -> None:
    with pytest.raises(EOFError):
        gzip.decompress((SAMPLE / CUT_OFF).read_bytes())


def test_everything_that_the_models_tell_apart_occurs(rows: dict[str, list[Any]]) -> None:
    def values(dataset: str, column: str) -> set[Any]:
        return {row.get(column) for row in rows[dataset] if row}

    assert values("messages", "channel") > CHANNELS
    assert values("messages", "message_class") > {"marketing", "transactional", "service"}
    assert values("message_events", "event") > set(DATASETS["message_events"].column("event").choices)
    assert values("orders", "status") > set(DATASETS["orders"].column("status").choices)
    assert values("orders", "currency") >= {"EUR", "GBP", "USD", "XTS"}
    assert values("events", "event") > {"page", "screen", "Order Completed", "Application Uninstalled"}
    about = json.loads((SAMPLE / "_sample.json").read_text())
    assert about["as_of"] == "2026-06-30" and about["plan_date"] == "2026-07-01"


def test_the_readme_names_every_column_with_its_type() -> None:
    table = {
        cells[1].strip(" `"): cells
        for line in README.read_text(encoding="utf-8").splitlines()
        if len(cells := line.split("|")) == 5
    }
    for dataset in DATASETS.values():
        _, _, key, columns, _ = table[dataset.name]
        assert key.strip() == ", ".join(dataset.key)
        for column in dataset.columns:
            if column.name == "updated_at" and not column.required:
                continue
            name = f"**{column.name}**" if column.required else column.name
            assert re.search(rf"(^|[ ,]){re.escape(name)} {column.type}\b", columns), (
                dataset.name,
                column.name,
            )
