"""Canonical rows, duplicates and versions, by hand."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tests.properties.oracle import World
from tests.properties.oracle.versions import (
    best_duplicate,
    canonical_row,
    canonical_value,
    deduplicated,
    md5,
    version_as_of,
    versions_as_of,
)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("number", Decimal("10.500"), "10.5"),
        ("number", Decimal("100"), "100"),
        ("number", Decimal("-0.00"), "0"),
        ("number", Decimal("0.000001"), "0.000001"),
        ("integer", 7, "7"),
        ("boolean", True, "true"),
        ("text", None, r"\N"),
        ("list", ["b", "é"], '["b","é"]'),
        ("json", '{"b": 1, "a": [1, 2]}', '{"a":[1,2],"b":1}'),
        ("date", date(1990, 1, 2), "1990-01-02"),
        ("timestamp", at("2024-01-02 03:04:05"), "2024-01-02T03:04:05.000000Z"),
        (
            "timestamp",
            datetime(2024, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=2))),
            "2024-01-01T22:30:00.000000Z",
        ),
    ],
)
def test_canonical_value(type_, value, text):
    assert canonical_value(type_, value) == text


def test_canonical_row_has_the_columns_in_order_and_updated_at_last():
    row = {"updated_at": at("2024-01-02"), "price": Decimal("2.50"), "product_id": "p"}
    text = "p\x1f\\N\x1f\\N\x1f2.5\x1f2024-01-02T00:00:00.000000Z"
    assert canonical_row("products", row) == text
    assert md5("products", row) == hashlib.md5(text.encode()).hexdigest()


def event(**values):
    return {"event_id": "e", "user_id": "u", "event": "page", "timestamp": at("2024-01-01"), **values}


def test_duplicate_with_the_latest_update_wins():
    old, new = event(updated_at=at("2024-01-01")), event(updated_at=at("2024-01-02"))
    assert best_duplicate("events", [old, new, event()]) == new


def test_duplicate_received_first_wins_at_equal_update():
    first, second = event(received_at=at("2024-01-01")), event(received_at=at("2024-01-02"))
    assert best_duplicate("events", [second, first, event()]) == first


def test_greater_md5_wins_at_equal_times():
    rows = [event(category=name) for name in "abc"]
    winner = max(rows, key=lambda row: md5("events", row))
    assert best_duplicate("events", rows) == best_duplicate("events", rows[::-1]) == winner
    assert deduplicated(World(events=[*rows, *rows]), "events") == [winner]


def order(**values):
    return {
        "order_id": "o",
        "user_id": "u",
        "ordered_at": at("2024-01-10 12:00"),
        "gross_amount": Decimal(10),
        **values,
    }


def test_version_known_by_the_end_of_the_day_counts():
    first = order(status="placed")
    second = order(status="completed", updated_at=at("2024-01-12 23:59:59"))
    assert version_as_of(World(), "orders", [second, first], date(2024, 1, 11)) == first
    assert version_as_of(World(), "orders", [first, second], date(2024, 1, 12)) == second


def test_the_end_of_the_day_is_of_the_business_time_zone():
    first, second = order(), order(coupon="c", updated_at=at("2024-01-12 23:30"))
    paris = World(time_zone="Europe/Paris")
    assert version_as_of(paris, "orders", [first, second], date(2024, 1, 12)) == first
    assert version_as_of(paris, "orders", [first, second], date(2024, 1, 13)) == second


def test_before_its_first_version_an_order_is_placed_and_not_refunded():
    only = order(status="refunded", refunded_amount=Decimal(10), coupon="c", updated_at=at("2024-02-01"))
    early = version_as_of(World(), "orders", [only], date(2024, 1, 31))
    assert (early["status"], early["refunded_amount"], early["coupon"]) == ("placed", None, "c")
    assert version_as_of(World(), "orders", [only], date(2024, 2, 1)) == only


def test_before_all_versions_the_earliest_counts():
    versions = [
        order(coupon="b", updated_at=at("2024-03-01")),
        order(coupon="a", updated_at=at("2024-02-01")),
    ]
    assert version_as_of(World(), "orders", versions, date(2024, 1, 31))["coupon"] == "a"


@pytest.mark.parametrize(
    ("winner", "loser"),
    [("refunded", "cancelled"), ("cancelled", "completed"), ("cancelled", None), (None, "placed")],
)
def test_status_decides_between_orders_of_equal_times(winner, loser):
    versions = [order(status=winner), order(status=loser)]
    assert version_as_of(World(), "orders", versions, date(2024, 1, 10))["status"] == winner


def test_md5_decides_between_other_versions_of_equal_times():
    rows = [{"product_id": "p", "name": name} for name in "abcd"]
    assert versions_as_of(World(products=rows), "products", date(2024, 1, 1)) == [
        max(rows, key=lambda row: md5("products", row))
    ]


def test_what_has_no_time_is_known_always_and_older_than_what_has_one():
    timeless, dated = {"user_id": "u"}, {"user_id": "u", "email": "e", "created_at": at("2024-01-05")}
    assert version_as_of(World(), "users", [dated, timeless], date(2024, 1, 4)) == timeless
    assert version_as_of(World(), "users", [dated, timeless], date(2024, 1, 5)) == dated
