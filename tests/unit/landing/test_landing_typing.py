"""What the contract's types accept, how it is stored, and which optional values become null."""

import hashlib
import json
from datetime import date, datetime

import pytest


def times(world, *texts):
    world.write(
        "campaigns/a.jsonl",
        [{"campaign_id": f"{place:03}", "starts_at": text} for place, text in enumerate(texts)],
    )
    world.load()
    return world.column("select starts_at from raw.campaigns order by campaign_id")


def test_timestamps(world):
    accepted = {
        "2024-03-01T10:00:00Z": datetime(2024, 3, 1, 10),
        "2024-03-01 10:00:00": datetime(2024, 3, 1, 10),
        " 2024-03-01T10:00 ": datetime(2024, 3, 1, 10),
        "2024-03-01T10:00Z": datetime(2024, 3, 1, 10),
        "2024-03-01T10:00:00.5Z": datetime(2024, 3, 1, 10, 0, 0, 500000),
        "2024-03-01T10:00:00.123456789Z": datetime(2024, 3, 1, 10, 0, 0, 123456),
        "2024-03-01T10:00:00+02": datetime(2024, 3, 1, 8),
        "2024-03-01T10:00:00+0530": datetime(2024, 3, 1, 4, 30),
        "2024-03-01T10:00:00.25-05:00": datetime(2024, 3, 1, 15, 0, 0, 250000),
        "2024-03-01T10:00+02:00": datetime(2024, 3, 1, 8),
        "2024-03-01": datetime(2024, 3, 1),
        "2999-12-31T23:59:59Z": datetime(2999, 12, 31, 23, 59, 59),
    }
    assert times(world, *accepted) == list(accepted.values())
    assert world.query("from raw.bad_values") == []


def test_no_timestamps(world):
    refused = [
        "infinity", "-infinity", "epoch", "now", "today", "2024-02-30", "2024-3-1", "01.03.2024",
        "1709287200", "20240301",
        "2024-03-01T25:00:00Z", "2024-03-01T10:61:00Z", "2024-03-01T10:00:00 Europe/Berlin",
        "2024-03-01 (BC)", "0000-01-01",
        "2024-03-01T10:00:00+99:00",
    ]  # fmt: skip
    assert times(world, *refused) == [None] * len(refused)
    assert world.query("select column_name, rows from raw.bad_values") == [("starts_at", len(refused))]


def test_dates_begin_in_the_business_time_zone(world):
    world.set(time_zone="America/New_York")
    assert times(world, "2024-03-01", "2024-07-01", "2024-07-01T00:00:00", "2024-03-10T12:00-05") == [
        datetime(2024, 3, 1, 5), datetime(2024, 7, 1, 4), datetime(2024, 7, 1), datetime(2024, 3, 10,
        17)]  # fmt: skip


def test_parquet_times(world):
    world.set(time_zone="Europe/Berlin")
    world.parquet(
        "campaigns/a.parquet",
        """select '1' as campaign_id, timestamptz '2024-03-01 10:00:00+02' as starts_at, date
            '2024-03-02' as ends_at,
            timestamp_ns '2024-03-03 01:02:03.123456789' as updated_at""",
    )
    world.parquet("campaigns/b.parquet", "select '2' as campaign_id, 'infinity'::timestamp as starts_at")
    world.load()
    assert world.query("select starts_at, ends_at, updated_at from raw.campaigns order by campaign_id") == [
        (datetime(2024, 3, 1, 8), datetime(2024, 3, 1, 23), datetime(2024, 3, 3, 1, 2, 3, 123456)),
        (None, None, None),
    ]
    assert world.query("select column_name, rows from raw.bad_values") == [("starts_at", 1)]


def test_numbers(world):
    texts = [
        "100",
        "0.5",
        "-1.25",
        "1e3",
        " 7 ",
        ".5",
        "1,5",
        "nan",
        "inf",
        "1_000",
        "0x10",
        "1e300",
        "abc",
        "2.0000005",
    ]
    world.write("products/a.jsonl", [{"product_id": f"{n:02}", "price": text} for n, text in enumerate(texts)])
    world.write("products/b.jsonl", '{"product_id": "90", "price": 12.5}\n{"product_id": "91", "price": true}\n')
    world.parquet("products/c.parquet", "select '95' as product_id, 'nan'::double as price union all select '96', 2.5")
    world.load()
    assert world.column("select price::varchar from raw.products order by product_id") == [
        "100.000000", "0.500000", "-1.250000", "1000.000000", "7.000000", "0.500000", None, None, None,
        None, None, None,
        None, "2.000001", "12.500000", None, None, "2.500000"]  # fmt: skip


def test_integers(world):
    texts = ["1", "2.0", "-3", "1.5", "x", "9" * 20]
    world.write("users/a.jsonl", [{"user_id": str(n), "household_size": text} for n, text in enumerate(texts)])
    world.parquet("users/b.parquet", "select '7' as user_id, 4.0::double as household_size")
    world.load()
    assert world.column("select household_size from raw.users order by user_id") == [
        1,
        2,
        -3,
        None,
        None,
        None,
        4,
    ]


def test_booleans(world):
    texts = ["true", "F", "YES", "no", "1", "0", "t", "False", "2", "ja", ""]
    world.write(
        "subscriptions/a.jsonl",
        [{"subscription_id": f"{n:02}", "user_id": "u", "started_at": "2024-01-01", "auto_renew": text}
         for n, text in enumerate([*texts, True, False])],
    )  # fmt: skip
    world.load()
    assert world.column("select auto_renew from raw.subscriptions order by subscription_id") == [
        True, False, True, False, True, False, True, False, None, None, None, True, False]  # fmt: skip
    assert world.query("select column_name, rows from raw.bad_values") == [("auto_renew", 2)]


def test_lists(world):
    texts = [
        "a|b",
        " a | |b ",
        '["a", "b|c", 3, null, ""]',
        "[]",
        "a",
        "",
        "[broken",
        "|",
        ["x", "y"],
        {"a": 1},
    ]
    world.write("users/a.jsonl", [{"user_id": f"{n:02}", "interests": text} for n, text in enumerate(texts)])
    world.parquet("users/b.parquet", "select '90' as user_id, [' a', 'b', null, ''] as interests")
    world.load()
    assert world.column("select interests from raw.users order by user_id") == [
        ["a", "b"], ["a", "b"], ["a", "b|c", "3"], [], ["a"], None, None, [], ["x", "y"], ['{"a":1}'],
        ["a", "b"]]  # fmt: skip
    assert world.query("select column_name, rows from raw.bad_values") == [("interests", 1)]


def test_json(world, make_event):
    texts = ['{"a": 1}', "[1, 2]", "{'a': 1}", "{a}", "", "3"]
    world.write("events/a.jsonl", [make_event(f"e{n}", properties=text) for n, text in enumerate(texts)])
    world.parquet(
        "events/b.parquet",
        """select 'e9' as event_id, 'u' as user_id, 'x' as event, timestamp '2024-01-01' as timestamp,
            map {'k': [1, 2]} as properties""",
    )
    world.load()
    assert world.column("select properties from raw.events order by event_id") == [
        '{"a": 1}', "[1, 2]", None, None, None, "3", '{"k":[1,2]}']  # fmt: skip
    assert world.query("select column_name, rows from raw.bad_values") == [("properties", 2)]


def test_ids_are_text_as_written(world):
    ids = ["007", "1.50", " padded\t", "12345678901234567890123", "1e5", "x y"]
    world.write("users/a.csv", "user_id\n" + "\n".join(f'"{text}"' for text in ids) + "\n")
    world.parquet("users/b.parquet", "select 42::bigint as user_id")
    world.write("users/c.jsonl", '{"user_id": 12345678901234567890123456}\n')
    world.load()
    assert set(world.column("select user_id from raw.users")) == {
        *(text.strip() for text in ids), "42", "12345678901234567890123456"}  # fmt: skip


def test_choices(world):
    row = {"user_id": "u", "ordered_at": "2024-01-01", "gross_amount": 1}
    world.write(
        "orders/a.jsonl",
        [
            row | {"order_id": "1", "status": " Completed "},
            row | {"order_id": "2"},
            row | {"order_id": "3", "status": ""},
        ],
    )
    message = {"user_id": "u", "channel": "EMAIL", "sent_at": "2024-01-01"}
    world.write(
        "messages/a.jsonl",
        [
            message | {"message_id": "1", "message_class": "Service"},
            message | {"message_id": "2", "message_class": "spam"},
        ],
    )
    world.load()
    assert world.column("select status from raw.orders order by order_id") == ["completed", None, None]
    assert world.query("select channel, message_class from raw.messages order by message_id") == [
        ("email", "service"), ("email", None)]  # fmt: skip
    assert world.query("select dataset, column_name, rows from raw.bad_values") == [("messages", "message_class", 1)]


def test_consent_synonyms(world):
    row = {"user_id": "u", "channel": "sms", "occurred_at": "2024-01-01"}
    statuses = ["granted", "Withdrawn", "OPT_OUT", "subscribed"]
    world.write("consents/a.jsonl", [row | {"user_id": str(n), "status": text} for n, text in enumerate(statuses)])
    world.load()
    assert world.column("select status from raw.consents order by user_id") == [
        "granted",
        "withdrawn",
        "withdrawn",
        "granted",
    ]


def test_birth_dates(world):
    texts = ["1990-01-02", "1990-01-02T00:00:00Z", "1990-1-2", "02.01.1990"]
    world.write("users/a.jsonl", [{"user_id": str(n), "birth_date": text} for n, text in enumerate(texts)])
    world.parquet("users/b.parquet", "select '8' as user_id, date '1990-01-02' as birth_date")
    world.load()
    day = date(1990, 1, 2)
    assert world.column("select birth_date from raw.users order by user_id") == [day, day, None, None, day]


def test_bad_values_are_counted_for_accepted_rows_only(world, make_event):
    world.write(
        "events/a.jsonl",
        [make_event("e1", value="x"), make_event("e2", value="y", event=""), make_event("e3", value=1)],
    )
    world.load()
    assert world.query("select load_id, dataset, column_name, rows from raw.bad_values") == [(1, "events", "value", 1)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_canonical_row(world, suffix):
    row = {
        "user_id": "u1", "email": None, "birth_date": "1990-01-02", "household_size": 3,
        "interests": ["a\"b", "é"], "values": [], "created_at": "2024-03-01T10:00:00.5Z",
        "updated_at": "2024-03-02T00:00:00Z",
    }  # fmt: skip
    if suffix == "jsonl":
        world.write("users/a.jsonl", [row])
    else:
        world.parquet(
            "users/a.parquet",
            """select 'u1' as user_id, date '1990-01-02' as birth_date, 3 as household_size, ['a"b', 'é']
                as interests,
            []::varchar[] as values, timestamp '2024-03-01 10:00:00.5' as created_at, timestamp
            '2024-03-02' as updated_at""",
        )
    world.load()
    parts = ["u1", *["\\N"] * 4, "1990-01-02", *["\\N"] * 9, "3", json.dumps(["a\"b", "é"],
        separators=(",", ":"), ensure_ascii=False),
             "[]", "2024-03-01T10:00:00.500000Z", "\\N", "2024-03-02T00:00:00.000000Z"]  # fmt: skip
    assert world.one("select row_md5 from raw.users") == hashlib.md5("\x1f".join(parts).encode()).hexdigest()


def test_canonical_numbers(world):
    world.write(
        "products/a.jsonl",
        [{"product_id": str(n), "price": text} for n, text in enumerate(["100", "0", "-1.50", "0.000001"])],
    )
    world.load()
    expected = [
        hashlib.md5(f"{n}\x1f\\N\x1f\\N\x1f{text}\x1f\\N".encode()).hexdigest()
        for n, text in enumerate(["100", "0", "-1.5", "0.000001"])
    ]
    assert world.column("select row_md5 from raw.products order by product_id") == expected


def test_numbers_out_of_range(world):
    order = {"user_id": "u", "ordered_at": "2024-01-01"}
    world.write("orders/a.jsonl", [
        order | {"order_id": "1", "gross_amount": 9999999999.99, "tax_amount": "-1e10"},
        order | {"order_id": "2", "gross_amount": 10000000000},
    ])  # fmt: skip
    world.write("order_items/a.jsonl", [
        {"order_id": "1", "line_number": 1, "product_id": "p", "quantity": "1e10", "unit_price": 1}])  # fmt: skip
    world.load()
    assert world.query("select order_id, gross_amount::varchar, tax_amount from raw.orders") == [
        ("1", "9999999999.990000", None)]  # fmt: skip
    assert world.query("select dataset, reason from raw.rejected_rows order by all") == [
        ("order_items", "invalid_quantity"), ("orders", "invalid_gross_amount")]  # fmt: skip
    assert world.query("select column_name, rows from raw.bad_values") == [("tax_amount", 1)]


def test_only_blanks_are_trimmed(world):
    names = [" viola@example.org", "\tvera v\n", "\x0bvivv \r\f", "fern n "]
    world.write("users/a.jsonl", [{"user_id": f"{place}", "email": name} for place, name in enumerate(names)])
    world.load()
    assert world.column("select email from raw.users order by user_id") == [name.strip() for name in names]
