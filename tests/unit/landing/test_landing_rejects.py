"""Every reason for which a row is rejected, and the boundaries between good and bad."""

import json

import pytest

EVENT = {"event_id": "e1", "user_id": "u1", "event": "page", "timestamp": "2024-03-01T10:00:00Z"}
ORDER = {"order_id": "o1", "user_id": "u1", "ordered_at": "2024-03-01T10:00:00Z", "gross_amount": "10"}
ITEM = {"order_id": "o1", "line_number": "1", "product_id": "p1", "quantity": "1", "unit_price": "2"}
CONSENT = {"user_id": "u1", "channel": "email", "status": "granted", "occurred_at": "2024-03-01T10:00:00Z"}
MESSAGE = {"message_id": "m1", "user_id": "u1", "channel": "email", "sent_at": "2024-03-01T10:00:00Z"}
MESSAGE_EVENT = {
    "event_id": "x1",
    "message_id": "m1",
    "event": "opened",
    "occurred_at": "2024-03-01T10:00:00Z",
}
ADDRESS = {"user_id": "u1", "channel": "push", "address": "t", "updated_at": "2024-03-01T10:00:00Z"}

CASES = [
    ("events", EVENT, {"event_id": " "}, "missing_event_id"),
    ("events", EVENT, {"event": ""}, "missing_event"),
    ("events", EVENT, {"timestamp": ""}, "missing_timestamp"),
    ("events", EVENT, {"user_id": ""}, "missing_user_id_or_anonymous_id"),
    ("events", EVENT, {"timestamp": "yesterday"}, "invalid_timestamp"),
    ("events", EVENT, {"timestamp": "1969-12-31T23:59:59.999999Z"}, "before_min_event_date"),
    ("events", EVENT, {"received_at": "2024-02-29T09:59:59.999999Z"}, "after_received_at"),
    ("orders", ORDER, {"status": "lost"}, "unknown_status"),
    ("orders", ORDER, {"gross_amount": "ten"}, "invalid_gross_amount"),
    ("orders", ORDER, {"user_id": ""}, "missing_user_id"),
    ("orders", ORDER, {"ordered_at": "1969-01-01"}, "before_min_event_date"),
    ("order_items", ITEM, {"line_number": "1.5"}, "invalid_line_number"),
    ("order_items", ITEM, {"quantity": "-0.5"}, "negative_quantity"),
    ("order_items", ITEM, {"quantity": "x"}, "invalid_quantity"),
    ("consents", CONSENT, {"channel": "pigeon"}, "unknown_channel"),
    ("consents", CONSENT, {"status": "maybe"}, "unknown_status"),
    ("consents", CONSENT, {"status": ""}, "missing_status"),
    ("messages", MESSAGE, {"channel": "fax"}, "unknown_channel"),
    ("messages", MESSAGE, {"sent_at": "1969-01-01"}, "before_min_event_date"),
    ("message_events", MESSAGE_EVENT, {"event": "teleported"}, "unknown_event"),
    ("message_events", MESSAGE_EVENT, {"message_id": ""}, "missing_message_id"),
    ("addresses", ADDRESS, {"status": "maybe"}, "unknown_status"),
    ("addresses", ADDRESS, {"updated_at": ""}, "missing_updated_at"),
    ("campaigns", {"campaign_id": "c"}, {"channel": "fax"}, "unknown_channel"),
    (
        "identities",
        {"anonymous_id": "a", "user_id": "u"},
        {"linked_at": "1969-01-01"},
        "before_min_event_date",
    ),
    (
        "erasures",
        {"user_id": "u", "requested_at": "2024-01-01"},
        {"requested_at": "soon"},
        "invalid_requested_at",
    ),
    ("subscriptions", {"subscription_id": "s", "user_id": "u"}, {"started_at": "x"}, "invalid_started_at"),
    # Several things wrong: the first reason that fits.
    ("orders", ORDER, {"gross_amount": "ten", "user_id": "", "status": "lost"}, "missing_user_id"),
    ("orders", ORDER, {"gross_amount": "ten", "status": "lost"}, "invalid_gross_amount"),
    ("order_items", ITEM, {"line_number": "x", "quantity": "-1"}, "invalid_line_number"),
]


@pytest.mark.parametrize(("dataset", "good", "change", "reason"), CASES)
def test_reasons(world, dataset, good, change, reason):
    bad = good | change
    names = list(bad)
    world.write(f"{dataset}/a.csv", ",".join(names) + "\n" + ",".join(bad[name] for name in names) + "\n")
    world.write(f"{dataset}/b.jsonl", [bad])
    world.load()
    assert world.query("select file, row_number, reason from raw.rejected_rows order by all") == [
        (f"{dataset}/a.csv", 1, reason), (f"{dataset}/b.jsonl", 1, reason)]  # fmt: skip
    contents = [json.loads(text) for text in world.column("select content from raw.rejected_rows order by file")]
    assert {name: value or "" for name, value in contents[0].items()} == {
        n: v if v.strip() else v for n, v in bad.items()
    }
    assert contents[1] == bad


@pytest.mark.parametrize(("dataset", "good", "change", "reason"), CASES)
def test_the_good_rows_are_good(world, dataset, good, change, reason):
    if dataset == "subscriptions":
        good = good | {"started_at": "2024-01-01"}
    world.write(f"{dataset}/a.jsonl", [good])
    world.load()
    assert world.query("from raw.rejected_rows") == []


def test_parquet_rejects_keep_number_and_content(world):
    world.parquet(
        "orders/a.parquet",
        """select 'o' || i as order_id, 'u' as user_id, timestamp '2024-01-01' + to_days(i::int) as
            ordered_at,
            case when i <> 7 then i::double end as gross_amount, 'x' as extra from range(1, 11) t(i)""",
    )
    world.load()
    ((number, reason, content),) = world.query("select row_number, reason, content from raw.rejected_rows")
    assert (number, reason) == (7, "missing_gross_amount")
    assert json.loads(content) == {
        "order_id": "o7", "user_id": "u", "ordered_at": "2024-01-08 00:00:00", "gross_amount": None,
        "extra": "x"}  # fmt: skip
    assert world.query("select order_id from raw.orders where order_id <> 'o' || row_number") == []


def test_boundaries(world):
    world.write(
        "events/a.jsonl",
        [
            EVENT | {"event_id": "1", "received_at": "2024-02-29T10:00:00Z"},
            EVENT | {"event_id": "2", "timestamp": "1970-01-01T00:00:00Z"},
            EVENT | {"event_id": "3", "timestamp": "2999-01-01T00:00:00Z"},
            EVENT | {"event_id": "4", "received_at": "not a time"},
        ],
    )
    world.write("order_items/a.jsonl", [ITEM | {"quantity": 0}])
    world.write("campaigns/a.jsonl", [{"campaign_id": "c", "starts_at": "1950-01-01"}])
    world.load()
    assert world.query("from raw.rejected_rows") == []


@pytest.mark.parametrize(
    ("zone", "first", "before"),
    [
        ("America/New_York", "2020-01-01T05:00:00Z", "2020-01-01T04:59:59Z"),
        ("Asia/Tokyo", "2019-12-31T15:00:00Z", "2019-12-31T14:59:59Z"),
    ],
)
def test_min_event_date_is_of_the_business_time_zone(world, zone, first, before):
    from datetime import date

    world.set(time_zone=zone, min_event_date=date(2020, 1, 1))
    world.write("events/a.jsonl", [EVENT | {"timestamp": first}, EVENT | {"event_id": "e2", "timestamp": before}])
    world.load()
    assert world.column("select event_id from raw.events") == ["e1"]
    assert world.column("select reason from raw.rejected_rows") == ["before_min_event_date"]


def test_a_missing_required_column_rejects_every_row(world):
    world.write("orders/a.csv", "order_id,user_id,gross_amount\no1,u1,5\no2,u2,6\n")
    world.load()
    assert world.column("select reason from raw.rejected_rows") == ["missing_ordered_at"] * 2
