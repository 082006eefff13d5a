"""Which row of a key counts: the best duplicate, the version as of a date (design, section 2)."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

from orchestration.landing.contract import DATASETS, ColumnType

from .numbers import number
from .world import Row, World

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: At equal times the later in this list wins.
STATUS_ORDER = ("placed", "completed", "cancelled", "refunded")


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    elapsed = moment - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def canonical_value(type_: ColumnType, value: Any) -> str:
    r"""One typed value as it stands in the canonical row; null is ``\N``."""
    if value is None:
        return r"\N"
    match type_:
        case "timestamp":
            return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case "date":
            return value.isoformat()
        case "number":
            text = format(number(value), "f").rstrip("0").rstrip(".")
            return "0" if text in ("-0", "") else text
        case "integer":
            return str(int(value))
        case "boolean":
            return "true" if value else "false"
        case "list":
            return _compact_json(list(value))
        case "json":
            return _compact_json(json.loads(value) if isinstance(value, str) else value)
        case _:
            return str(value)


def canonical_row(dataset: str, row: Row) -> str:
    """The typed values of the contract's columns in its order, joined by U+001F."""
    return "\x1f".join(canonical_value(c.type, row.get(c.name)) for c in DATASETS[dataset].columns)


def md5(dataset: str, row: Row) -> str:
    """The lower-case hex md5 of the canonical row."""
    return hashlib.md5(canonical_row(dataset, row).encode(), usedforsecurity=False).hexdigest()


def by_key(dataset: str, rows: Iterable[Row]) -> dict[tuple[Any, ...], list[Row]]:
    """The rows of a dataset, grouped by its key."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[column] for column in DATASETS[dataset].key)].append(row)
    return groups


def best_duplicate(dataset: str, rows: Iterable[Row]) -> Row:
    """The row that wins its key: latest updated_at, then earliest received_at, then the greater md5.

    A row without updated_at loses against one that has it; a row without received_at likewise.
    """
    rows = list(rows)
    if len(rows) == 1:
        return rows[0]

    def rank(row: Row) -> tuple[float, float, str]:
        updated, received = row.get("updated_at"), row.get("received_at")
        return (
            float("-inf") if updated is None else microseconds(updated),
            float("-inf") if received is None else -microseconds(received),
            md5(dataset, row),
        )

    return max(rows, key=rank)


def deduplicated(world: World, dataset: str) -> list[Row]:
    """One row a key of a deduplicated dataset."""
    return [best_duplicate(dataset, rows) for rows in by_key(dataset, world.rows(dataset)).values()]


def known_from(dataset: str, row: Row) -> datetime | None:
    """When a version became known; None: it was always known."""
    return next((row[c] for c in DATASETS[dataset].known_from if row.get(c) is not None), None)


def version_as_of(world: World, dataset: str, versions: Iterable[Row], day: date) -> Row:
    """The latest version known by the end of ``day``; before all of them the earliest.

    Before its first known version an order is placed with nothing refunded. Of versions with equal times
    only the one that wins is ever seen.
    """

    def time(row: Row) -> float:
        known = known_from(dataset, row)
        return float("-inf") if known is None else microseconds(known)

    def rank(row: Row) -> tuple[float, int, str]:
        status = STATUS_ORDER.index(row.get("status") or "completed") if dataset == "orders" else 0
        return time(row), status, md5(dataset, row)

    versions = list(versions)
    known = [row for row in versions if world.is_by(known_from(dataset, row), day)]
    if known:
        return max(known, key=rank)
    first = min(time(row) for row in versions)
    earliest = max((row for row in versions if time(row) == first), key=rank)
    return {**earliest, "status": "placed", "refunded_amount": None} if dataset == "orders" else earliest


def versions_as_of(world: World, dataset: str, day: date) -> list[Row]:
    """One row a key of a versioned dataset, as of ``day``."""
    return [version_as_of(world, dataset, rows, day) for rows in by_key(dataset, world.rows(dataset)).values()]


def _compact_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
