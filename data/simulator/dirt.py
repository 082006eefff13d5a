"""What goes wrong in real files: rows that can't be used, duplicates, bad values, future dates.

Nothing in here blocks extracts: no erasure is bad, every bad consent has a readable user, and no file of
consents, erasures or message_events is unreadable.
"""

from __future__ import annotations

from data.simulator.parameters import DAY, Parameters
from data.simulator.rows import Record, Row, Tables

_BEFORE_1970 = -3 * 365 * DAY


def add_dirt(parameters: Parameters, tables: Tables) -> None:
    """Add the dirt to the tables; it arrives on the last day, in files of text."""
    end = parameters.end - 1
    for dataset, dirty in _bad_rows(parameters).items():
        tables[dataset].extend((end, record) for record in dirty)
    for dataset, lines in _malformed_lines(parameters).items():
        tables[dataset].extend((end, line) for line in lines)
    for dataset in ("events", "orders", "order_items", "messages", "message_events", "consents", "products"):
        tables[dataset].extend(_copies(tables[dataset], end))
    for dataset, record in _future_rows(parameters).items():
        tables[dataset].append((end, record))
    tables["events"].extend(_missing_in_parquet(tables["events"]))
    _spoil_values(tables, parameters)


def _bad_rows(parameters: Parameters) -> dict[str, list[Row | str]]:
    """Rows that are rejected, by dataset."""
    at = parameters.end - DAY // 2
    event = {"event_id": "bad-1", "user_id": "u00001", "event": "page", "timestamp": at}
    order = {
        "order_id": "bad-1",
        "user_id": "u00001",
        "ordered_at": at,
        "status": "completed",
        "gross_amount": 20.0,
    }
    item = {"order_id": "o000001", "line_number": 91, "product_id": "p001", "quantity": 1, "unit_price": 8.9}
    message = {
        "message_id": "bad-1",
        "user_id": "u00001",
        "channel": "email",
        "provider": "klaviyo",
        "sent_at": at,
    }
    reaction = {"event_id": "bad-1", "message_id": "m000001", "event": "opened", "occurred_at": at}
    consent = {"user_id": "u00002", "channel": "email", "status": "granted", "occurred_at": at}
    address = {
        "user_id": "u00002",
        "channel": "push",
        "address": "push:1",
        "status": "active",
        "updated_at": at,
    }
    plan = {"subscription_id": "bad-1", "user_id": "u00002", "started_at": at}
    return {
        "events": [
            _without(event, "event_id"),
            _without(event, "event"),
            _without(event, "timestamp"),
            _without(event, "user_id"),
            {**event, "timestamp": "yesterday"},
            {**event, "timestamp": _BEFORE_1970},
            {**event, "timestamp": at, "received_at": at - 3 * DAY},
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
            {"anonymous_id": "web-00001", "linked_at": at},
            {"user_id": "u00001", "linked_at": at},
        ],
        "addresses": [
            {**address, "channel": "pigeon"},
            {**address, "status": "resting"},
            _without(address, "address"),
            _without(address, "updated_at"),
        ],
        "consents": [{**consent, "status": "maybe"}, {**consent, "user_id": "u00005", "channel": "fax"}],
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
        "campaigns": [{"name": "A campaign without an id"}, {"campaign_id": "bad-1", "channel": "pigeon"}],
        "products": [{"name": "A product without an id", "price": 1.0}],
        "subscriptions": [_without(plan, "started_at"), {**plan, "started_at": "in spring"}],
    }


def _without(record: Row, column: str) -> Row:
    return {name: value for name, value in record.items() if name != column}


def _malformed_lines(parameters: Parameters) -> dict[str, list[str]]:
    """Lines that are no rows: JSON that breaks off, a CSV line with too many fields."""
    day = parameters.last_day.isoformat()
    return {
        "events": ['{"event_id": "bad-2", "user_id": "u00001", "event": '],
        "orders": [f"bad-2,u00001,{day}T10:00:00Z,completed,20.0" + ",too,many,fields" * 5],
    }


def _copies(records: list[Record], end: int) -> list[Record]:
    """Rows that come twice: as they were, and with other content under the same key."""
    known = [record for _, record in records[:4000:500] if isinstance(record, dict)]
    again: list[Record] = [(end, record) for record in known]
    for record in known[:2]:
        if "event" in record and "timestamp" in record:
            again.append((end, {**record, "platform": "tv", "updated_at": end - 60}))
        elif "quantity" in record:
            again.append((end, {**record, "quantity": record["quantity"] + 1, "updated_at": end - 60}))
        elif "sent_at" in record:
            again.append((end, {**record, "provider": "brevo", "updated_at": end - 60}))
        elif "message_id" in record:
            again.append((end, {**record, "link_url": "https://shop.example.com/", "updated_at": end - 60}))
        elif "gross_amount" in record:
            # Two versions of an order at the same time: the one that cancels counts.
            again.append((end, {**record, "status": "cancelled"}))
        elif "price" in record:
            again.append((end, {**record, "price": record["price"] + 2}))
    return again


def _future_rows(parameters: Parameters) -> dict[str, Row]:
    """Rows dated after the last day: they wait for their date. Halves that wait for their other half, too."""
    later = parameters.end + DAY // 3
    return {
        "events": {
            "event_id": "future-1", "user_id": "u00003", "event": "page", "timestamp": later,
            "received_at": later - DAY // 2,
        },
        "orders": {"order_id": "future-1", "user_id": "u00003", "ordered_at": later, "gross_amount": 30.0},
        "messages": {"message_id": "future-1", "user_id": "u00003", "channel": "email", "sent_at": later},
        "message_events": {
            "event_id": "waits-1", "message_id": "not-yet-here", "event": "delivered",
            "occurred_at": parameters.end - 7200,
        },
        "order_items": {
            "order_id": "not-yet-here", "line_number": 1, "product_id": "p001", "quantity": 1,
            "unit_price": 8.9,
        },
    }  # fmt: skip


def _missing_in_parquet(records: list[Record]) -> list[Record]:
    """Rows without a required value can also be in a typed file."""
    arrives, first = records[0]
    assert isinstance(first, dict)
    return [(arrives, {**first, "event_id": None}), (arrives, {**first, "event_id": "bad-3", "event": None})]


def _spoil_values(tables: Tables, parameters: Parameters) -> None:
    """Values that can't be read in optional columns, and columns that the contract doesn't know."""
    end = parameters.end - 1
    at = parameters.end - DAY // 4
    profiles = {
        record["user_id"]: record for _, record in tables["users"] if isinstance(record, dict) and "user_id" in record
    }
    changed = {**profiles["u00004"], "birth_date": "31/02/1990", "household_size": "three", "updated_at": at}
    tables["users"].append((end, changed))
    tables["users"].append((end, {**profiles["u00006"], "loyalty_card": "L-77", "updated_at": at}))
    event = {"user_id": "u00004", "event": "Product Added", "timestamp": at, "product_id": "p002"}
    tables["events"].append((end, {**event, "event_id": "odd-1", "value": "a lot"}))
    tables["events"].append((end, {**event, "event_id": "odd-2", "screen_size": "390x844"}))
    message = {"user_id": "u00004", "channel": "email", "sent_at": at}
    tables["messages"].append((end, {**message, "message_id": "odd-1", "message_class": "gossip"}))
    bounce = {"event_id": "odd-1", "message_id": "odd-1", "event": "bounced", "occurred_at": at + 60}
    tables["message_events"].append((end, {**bounce, "bounce_type": "medium", "is_machine": "perhaps"}))
    tables["identities"].append((end, {"anonymous_id": "web-odd", "user_id": "u00004", "linked_at": "some day"}))
