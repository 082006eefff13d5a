"""Rejected consents stand for withdrawals; phone numbers come into one form."""

from datetime import date

import pytest

from orchestration.errors import BarometerError
from orchestration.landing import phone_numbers

GOOD = {"user_id": "u0", "channel": "sms", "status": "granted", "occurred_at": "2024-03-05T00:00:00Z"}


def stand_ins(world, *rows):
    world.write("consents/a.jsonl", list(rows))
    world.load()
    return world.query(
        "select row_number, user_id, channel, occurred_at::varchar from raw.consent_stand_ins order by 1"
    )


def test_dated_by_its_own_time(world):
    assert stand_ins(world, GOOD, GOOD | {"user_id": "u1", "status": "?", "occurred_at": "2024-01-01",
        "updated_at": "2024-06-01"}) == [
        (2, "u1", "sms", "2024-01-01 00:00:00")]  # fmt: skip


def test_dated_by_its_update(world):
    assert stand_ins(world, GOOD, GOOD | {"user_id": "u1", "occurred_at": "?",
        "updated_at": "2024-06-01"}) == [
        (2, "u1", "sms", "2024-06-01 00:00:00")]  # fmt: skip


def test_dated_by_its_file(world):
    rejected = GOOD | {"user_id": "u2", "status": "?", "occurred_at": "2024-04-01"}
    assert stand_ins(world, GOOD, GOOD | {"user_id": "u1", "occurred_at": ""}, rejected) == [
        (2, "u1", "sms", "2024-04-01 00:00:00"), (3, "u2", "sms", "2024-04-01 00:00:00")]  # fmt: skip


def test_a_time_before_all_times_is_none(world):
    unset = {"status": "?", "occurred_at": "1970-01-01"}
    world.set(min_event_date=date(2000, 1, 1))
    assert stand_ins(
        world,
        GOOD | unset | {"user_id": "u1", "updated_at": "2024-06-01"},
        GOOD | unset | {"user_id": "u2", "updated_at": "1970-01-01"},
        GOOD,
    ) == [(1, "u1", "sms", "2024-06-01 00:00:00"), (2, "u2", "sms", "2024-03-05 00:00:00")]


def test_undated_where_no_time_is_in_range(world):
    world.set(min_event_date=date(2000, 1, 1))
    assert stand_ins(world, GOOD | {"user_id": "u1", "occurred_at": "1970-01-01"}) == [(1, "u1", "sms", None)]


def test_undated(world):
    assert stand_ins(world, GOOD | {"user_id": "u1", "occurred_at": ""}) == [(1, "u1", "sms", None)]


def test_every_channel_where_it_cannot_be_read(world):
    rows = stand_ins(world, GOOD | {"user_id": "u1", "channel": "pigeon"}, GOOD | {"user_id": "u2", "channel": ""})
    assert [row[1:3] for row in rows] == [("u1", None), ("u2", None)]


def test_none_without_a_user(world):
    assert stand_ins(world, GOOD | {"user_id": " ", "status": "?"}) == []
    assert world.column("select reason from raw.rejected_rows") == ["missing_user_id"]


def test_names_the_file(world):
    stand_ins(world, GOOD | {"status": "?"})
    assert world.query("select load_id, file_sha256 from raw.consent_stand_ins") == world.query(
        "select load_id, sha256 from raw.load_files"
    )


def test_phone_numbers(world):
    world.write("users/a.jsonl", [
        {"user_id": "u1", "phone": "+4915123456789", "country": "de"},
        {"user_id": "u2", "phone": "0151 23456789", "country": "DE"},
        {"user_id": "u3", "phone": "0151 23456789"},
        {"user_id": "u4", "phone": "none", "country": "Germany"},
        {"user_id": "u5", "phone": "(212) 555-0123", "country": "US", "updated_at": "2024-01-01"},
        {"user_id": "u5", "phone": "+1 650 253 0000", "country": "GB", "updated_at": "2023-01-01"},
    ])  # fmt: skip
    world.write("addresses/a.jsonl", [
        {"user_id": "u5", "channel": "whatsapp", "address": "6502530000", "updated_at": "2024-01-01"},
        {"user_id": "u9", "channel": "sms", "address": "0151 23456789", "updated_at": "2024-01-01"},
        {"user_id": "u5", "channel": "push", "address": "0151", "updated_at": "2024-01-01"},
    ])  # fmt: skip
    world.load()
    assert world.query("from raw.phone_numbers order by all") == [
        ("(212) 555-0123", "US", "+12125550123"),
        ("+1 650 253 0000", "GB", "+16502530000"),
        ("+4915123456789", "DE", "+4915123456789"),
        ("0151 23456789", "", None),
        ("0151 23456789", "DE", "+4915123456789"),
        ("6502530000", "", None),
        ("6502530000", "GB", None),
        ("6502530000", "US", "+16502530000"),
        ("none", "", None),
    ]


@pytest.mark.parametrize("at_once", [1, 2, 1000])
def test_many_phone_numbers_are_read_by_several_processes(world, monkeypatch, at_once):
    monkeypatch.setattr(phone_numbers, "_AT_ONCE", at_once)
    numbers = [
        "+4915123456789",
        "(212)",
        "none",
        "\0",
        'a "quoted",\nbroken one',
        "\u0661\u0662",
        "0151 23456789",
    ]
    world.write("users/a.jsonl", [{"user_id": f"u{at}", "phone": number, "country": "DE"}
        for at, number in enumerate(numbers)])  # fmt: skip
    world.load()
    assert world.query("from raw.phone_numbers where e164 is not null order by all") == [
        ("+4915123456789", "DE", "+4915123456789"), ("0151 23456789", "DE", "+4915123456789")]  # fmt: skip
    assert sorted(world.column("select phone from raw.phone_numbers")) == sorted(
        number for number in world.column("select phone from raw.users") if number
    )


def test_a_process_that_reads_phone_numbers_and_ends_badly_is_an_error(world, monkeypatch):
    monkeypatch.setattr(phone_numbers, "_AT_ONCE", 1)
    monkeypatch.setattr(phone_numbers.sys, "executable", "false")
    world.write("users/a.jsonl", [{"user_id": f"u{at}", "phone": f"+491512345678{at}"} for at in range(3)])
    with pytest.raises(BarometerError, match=r"reads phone numbers ended with 1"):
        world.load()
    monkeypatch.undo()
    world.load()
    assert len(world.query("from raw.phone_numbers")) == 3


def address(user, number, channel="sms"):
    return {"user_id": user, "channel": channel, "address": number, "updated_at": "2024-01-01"}


def test_one_number_however_it_is_written(world):
    world.write("users/a.jsonl", [{"user_id": "u1", "phone": "+4402079460018", "country": "GB"}])
    world.write("addresses/a.jsonl", [address("u1", "020 7946 0018"), address("u2", "+999999999999")])
    world.load()
    assert world.query("from raw.phone_numbers order by all") == [
        ("+4402079460018", "GB", "+442079460018"),
        ("+999999999999", "", None),
        ("020 7946 0018", "", None),
        ("020 7946 0018", "GB", "+442079460018"),
    ]


def test_phone_numbers_are_the_same_however_files_arrive(make_world):
    users = [{"user_id": "u1", "country": country, "updated_at": f"2024-01-0{day}"}
        for day, country in enumerate(("GB", "DE"), start=1)]  # fmt: skip
    files = [
        ("addresses/a.jsonl", [address("u1", "020 7946 0018")]),
        ("users/a.jsonl", users[:1]),
        ("users/b.jsonl", users[1:]),
    ]
    together, apart = make_world(), make_world()
    for file, rows in files:
        together.write(file, rows)
        apart.write(file, rows)
        apart.load()
    together.load()
    numbers = together.query("from raw.phone_numbers order by all")
    assert [country for _, country, _ in numbers] == ["", "DE", "GB"]
    assert apart.query("from raw.phone_numbers order by all") == numbers


def test_only_phone_channels_hold_phone_numbers(world):
    world.set(phone_channels=frozenset({"whatsapp"}))
    world.write("addresses/a.jsonl", [address("u1", "+4915123456789"), address("u1", "+4915123456780", "whatsapp")])
    world.load()
    assert world.column("select phone from raw.phone_numbers") == ["+4915123456780"]
