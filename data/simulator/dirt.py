"""What goes wrong in real files: rows that can't be used, duplicates, bad values, future dates, broken archives.

Nothing in here blocks extracts: no erasure is bad, every bad consent has a readable user, and no file of
consents, erasures or message_events is unreadable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from data.simulator.files import FilePlan, HandWritten, write_gzip
from data.simulator.parameters import DAY, Parameters
from data.simulator.tables import Table, joined, rows_of, taken

Row = dict[str, Any]

#: Rows of each kind of bad row, in a million rows of their dataset; one at least.
BAD_PER_MILLION = 10
#: One row in so many comes twice in its file.
DUPLICATE_EVERY = 6000
DUPLICATED = frozenset({"events", "orders", "order_items", "messages", "message_events", "consents", "products"})
BROKEN_FILE = "products/supplier.csv.gz"
_BEFORE_1970 = "1967-01-01T00:00:00Z"


def kind_count(parameters: Parameters, rows: int) -> int:
    """How many rows of each kind of bad row go with so many rows of a dataset."""
    if parameters.dirt <= 0:
        return 0
    return max(1, round(parameters.dirt * BAD_PER_MILLION * rows / 1e6))


def duplicate_every(parameters: Parameters) -> int:
    """One row in how many comes twice; 0: none."""
    return round(DUPLICATE_EVERY / parameters.dirt) if parameters.dirt > 0 else 0


def with_duplicates(parameters: Parameters, plan: FilePlan, table: Table) -> Table:
    """The rows of a file, some of them twice."""
    every = duplicate_every(parameters)
    if not every or plan.dataset not in DUPLICATED or not rows_of(table):
        return table
    return joined([table, taken(table, np.arange(rows_of(table) // 2 % every, rows_of(table), every))])


def written_by_hand(
    parameters: Parameters, user_base: int, dataset: str, rows: int, specimens: Sequence[Row]
) -> list[HandWritten]:
    """The bad and odd rows of a dataset, which arrive on the last day.

    ``rows`` is how many rows the dataset has; ``specimens`` are some of its last day, which come again changed.
    """
    made: list[HandWritten] = []
    for number in range(kind_count(parameters, rows)):
        made += _bad_rows(parameters, user_base, number).get(dataset, [])
        made += _odd_rows(parameters, user_base, number).get(dataset, [])
    if kind_count(parameters, rows):
        made += _malformed_lines(parameters, user_base).get(dataset, [])
        made += _changed(parameters, dataset, specimens)
    return made


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _without(record: Row, column: str) -> Row:
    return {name: value for name, value in record.items() if name != column}


def _bad_rows(parameters: Parameters, user_base: int, number: int) -> dict[str, list[HandWritten]]:
    """One row of each kind that is rejected, by dataset."""
    at = _time(parameters.end - DAY // 2 + number % 3600)
    too_early = _time(parameters.end - DAY // 2 - 3 * DAY)
    user, other, third = (f"u{user_base + (number * 3 + n) % parameters.users}" for n in (1, 2, 5))
    key = f"bad-{number + 1}"
    event = {"event_id": key, "user_id": user, "event": "page", "timestamp": at}
    order = {"order_id": key, "user_id": user, "ordered_at": at, "status": "completed", "gross_amount": 20.0}
    item = {"order_id": "o100001", "line_number": 91 + number, "product_id": "p101", "quantity": 1, "unit_price": 8.9}
    message = {"message_id": key, "user_id": user, "channel": "email", "provider": "klaviyo", "sent_at": at}
    reaction = {"event_id": key, "message_id": "m1000001", "event": "opened", "occurred_at": at}
    consent = {"user_id": other, "channel": "email", "status": "granted", "occurred_at": at}
    address = {"user_id": other, "channel": "push", "address": "push:1", "status": "active", "updated_at": at}
    plan = {"subscription_id": key, "user_id": other, "started_at": at}
    return {
        "events": [
            _without(event, "event_id"),
            _without(event, "event"),
            _without(event, "timestamp"),
            _without(event, "user_id"),
            {**event, "timestamp": "yesterday"},
            {**event, "timestamp": _BEFORE_1970},
            {**event, "received_at": too_early},
        ],
        "orders": [
            _without(order, "user_id"),
            _without(order, "gross_amount"),
            {**order, "gross_amount": "twenty"},
            {**order, "ordered_at": "2026-13-45"},
            {**order, "ordered_at": _BEFORE_1970},
            {**order, "status": "lost in the post"},
        ],
        "order_items": [
            {**item, "quantity": -2},
            {**item, "quantity": "many"},
            {**item, "line_number": "first"},
            _without(item, "product_id"),
            _without(item, "unit_price"),
        ],
        "users": [{"email": "nobody@example.com", "first_name": "Nobody"}],
        "identities": [
            {"anonymous_id": f"web-{user_base + 1}", "linked_at": at},
            {"user_id": user, "linked_at": at},
        ],
        "addresses": [
            {**address, "channel": "pigeon"},
            {**address, "status": "resting"},
            _without(address, "address"),
            _without(address, "updated_at"),
        ],
        "consents": [{**consent, "status": "maybe"}, {**consent, "user_id": third, "channel": "fax"}],
        "messages": [
            {**message, "channel": "pigeon"},
            _without(message, "sent_at"),
            _without(message, "user_id"),
            {**message, "sent_at": _BEFORE_1970},
        ],
        "message_events": [
            {**reaction, "event": "admired"},
            _without(reaction, "message_id"),
            {**reaction, "occurred_at": "soon"},
        ],
        "campaigns": [{"name": "A campaign without an id"}, {"campaign_id": key, "channel": "pigeon"}],
        "products": [{"name": "A product without an id", "price": 1.0}],
        "subscriptions": [_without(plan, "started_at"), {**plan, "started_at": "in spring"}],
    }


#: Reason codes of the rows above and below: for each of these rows, one of every reason.
REASONS: Mapping[str, tuple[str, ...]] = {
    "events": (
        "missing_event_id", "missing_event", "missing_timestamp", "missing_user_id_or_anonymous_id",
        "invalid_timestamp", "before_min_event_date", "after_received_at",
    ),
    "orders": (
        "missing_user_id", "missing_gross_amount", "invalid_gross_amount", "invalid_ordered_at",
        "before_min_event_date", "unknown_status",
    ),
    "order_items": (
        "negative_quantity", "invalid_quantity", "invalid_line_number", "missing_product_id", "missing_unit_price",
    ),
    "users": ("missing_user_id",),
    "identities": ("missing_user_id", "missing_anonymous_id"),
    "addresses": ("unknown_channel", "unknown_status", "missing_address", "missing_updated_at"),
    "consents": ("unknown_status", "unknown_channel"),
    "messages": ("unknown_channel", "missing_sent_at", "missing_user_id", "before_min_event_date"),
    "message_events": ("unknown_event", "missing_message_id", "invalid_occurred_at"),
    "campaigns": ("missing_campaign_id", "unknown_channel"),
    "products": ("missing_product_id",),
    "subscriptions": ("missing_started_at", "invalid_started_at"),
}  # fmt: skip


def _odd_rows(parameters: Parameters, user_base: int, number: int) -> dict[str, list[HandWritten]]:
    """Rows that are loaded: with values that can't be read, unknown columns, future dates, missing other halves."""
    at, later = _time(parameters.end - DAY // 4), _time(parameters.end + DAY // 3)
    user = f"u{user_base + (number * 3 + 4) % parameters.users}"
    key = f"{number + 1}"
    event = {"user_id": user, "event": "Product Added", "timestamp": at, "product_id": "p102"}
    message = {"user_id": user, "channel": "email", "sent_at": at}
    bounce = {"event_id": f"odd-{key}", "message_id": f"odd-{key}", "event": "bounced", "occurred_at": at}
    return {
        "events": [
            {**event, "event_id": f"odd-{key}", "value": "a lot"},
            {**event, "event_id": f"wide-{key}", "screen_size": "390x844"},
            {"event_id": f"future-{key}", "user_id": user, "event": "page", "timestamp": later},
        ],
        "orders": [{"order_id": f"future-{key}", "user_id": user, "ordered_at": later, "gross_amount": 30.0}],
        "order_items": [
            {"order_id": f"waits-{key}", "line_number": 1, "product_id": "p101", "quantity": 1, "unit_price": 8.9}
        ],
        "users": [
            {"user_id": f"u{user_base + parameters.users + 2 * number}", "birth_date": "31/02/1990",
             "household_size": "three", "created_at": at},
            {"user_id": f"u{user_base + parameters.users + 2 * number + 1}", "loyalty_card": "L-77", "created_at": at},
        ],
        "identities": [{"anonymous_id": f"web-odd-{key}", "user_id": user, "linked_at": "some day"}],
        "messages": [
            {**message, "message_id": f"odd-{key}", "message_class": "gossip"},
            {**message, "message_id": f"future-{key}", "sent_at": later},
        ],
        "message_events": [
            {**bounce, "bounce_type": "medium", "is_machine": "perhaps"},
            {"event_id": f"waits-{key}", "message_id": f"waits-{key}", "event": "delivered", "occurred_at": at},
        ],
    }  # fmt: skip


def _malformed_lines(parameters: Parameters, user_base: int) -> dict[str, list[HandWritten]]:
    """Lines that are no rows: JSON that breaks off, a CSV line with too many fields."""
    day, user = parameters.last_day.isoformat(), f"u{user_base + 1}"
    return {
        "events": ['{"event_id": "bad-0", "user_id": "' + user + '", "event": '],
        "orders": [f"bad-0,{user},{day}T10:00:00Z,completed,20.0" + ",too,many,fields" * 5],
    }


def _changed(parameters: Parameters, dataset: str, specimens: Sequence[Row]) -> list[HandWritten]:
    """Rows that come again with other content under the same key."""
    updated = {"updated_at": _time(parameters.end - 60)}
    changes: dict[str, Row] = {
        "events": {"platform": "tv", **updated},
        "order_items": {"quantity": 7, **updated},
        "messages": {"provider": "brevo", **updated},
        "message_events": {"link_url": "https://shop.example.com/", **updated},
        # Two versions of an order at the same time: the one that cancels counts.
        "orders": {"status": "cancelled"},
        "products": {"price": 3.33},
    }
    if dataset not in changes:
        return []
    return [{**_plain(row), **changes[dataset]} for row in specimens]


def _plain(row: Row) -> Row:
    """A row as a person would write it: without what is missing, times and amounts as text and numbers."""
    plain: Row = {}
    for name, value in row.items():
        if isinstance(value, datetime):
            plain[name] = f"{value:%Y-%m-%dT%H:%M:%S}Z"
        elif value is not None:
            plain[name] = float(value) if isinstance(value, Decimal) else value
    return plain


def specimens_of(parameters: Parameters, table: Table, rows: int, select: str) -> list[Row]:
    """A few rows of a table of codes as they are written, as many as there are bad rows of a kind."""
    size = min(kind_count(parameters, rows), rows_of(table))
    if not size:
        return []
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("rows", taken(table, np.arange(size)))
        result = connection.execute(select)
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def write_broken_file(folder: Path) -> None:
    """Write an archive that breaks off in the middle."""
    path = folder / BROKEN_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(
        f"p{number},Supplier item {number * 7919 % 1000},Garden,{number}.90\n" for number in range(200, 260)
    )
    with duckdb.connect(config={"threads": 1}) as connection:
        write_gzip(connection, f"product_id,name,category,price\n{lines}".encode(), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
