"""Rejected consents stand for withdrawals; phone numbers come into one form."""

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
        ("6502530000", "US", "+16502530000"),
        ("none", "", None),
    ]
