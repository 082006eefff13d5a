"""Duplicates, versions and winners."""

from itertools import permutations

import pytest


def test_duplicates_within_and_across_files(world, make_event):
    world.write("events/a.jsonl", [make_event(), make_event(), make_event("e2")])
    world.write("events/b.jsonl", [make_event("e2"), make_event("e3")])
    world.load()
    assert world.ledger("events/a.jsonl")["duplicate"] == 1
    assert world.ledger("events/b.jsonl")["duplicate"] == 1
    assert world.column("select event_id from raw.events order by all") == ["e1", "e2", "e3"]
    assert world.query("from raw.touches") == []


def test_json_that_is_written_differently_is_the_same(world, make_event):
    world.write("events/a.jsonl", [make_event(properties='{"a": 1, "b": 2}'), make_event(properties='{"b":2,"a":1}')])
    world.load()
    assert world.ledger("events/a.jsonl")["duplicate"] == 1


VARIANTS = [
    {"value": 1},
    {"updated_at": "2024-04-01T00:00:00Z", "value": 2},
    {"updated_at": "2024-04-02T00:00:00Z", "received_at": "2024-03-03T00:00:00Z", "value": 3},
    {"updated_at": "2024-04-02T00:00:00Z", "received_at": "2024-03-02T00:00:00Z", "value": 4},
    {"updated_at": "2024-04-02T00:00:00Z", "value": 5},
]


@pytest.mark.parametrize("order", list(permutations(range(5)))[::11])
@pytest.mark.parametrize("together", [False, True])
def test_the_winner_in_any_order(world, make_event, order, together):
    rows = [make_event(**VARIANTS[place]) for place in order]
    if together:
        world.write("events/a.jsonl", rows)
    else:
        for place, row in enumerate(rows):
            world.write(f"events/{place}.jsonl", [row])
    world.load()
    assert world.column("select value::int from raw.events") == [4]
    assert world.one("select sum(rows_superseded) from raw.load_files") == 4


def test_equal_times_go_by_the_greater_md5(make_world, make_event):
    rows = [make_event(value=value) for value in range(3)]
    kept = set()
    for shift in range(3):
        world = make_world()
        for place in range(3):
            world.write(f"events/{place}.jsonl", [rows[(place + shift) % 3]])
        world.load()
        kept.add(world.one("select value from raw.events"))
    assert len(kept) == 1


def test_touches_of_a_replaced_row(world, make_event):
    world.write("events/a.jsonl", [make_event(anonymous_id="x")])
    world.write("message_events/a.jsonl", [
        {"event_id": "m-e", "message_id": "m1", "event": "opened", "occurred_at": "2024-01-01"}])  # fmt: skip
    world.write("order_items/a.jsonl", [
        {"order_id": "o", "line_number": 1, "product_id": "p", "quantity": 1, "unit_price": 1}])  # fmt: skip
    world.load()
    world.write(
        "events/b.jsonl",
        [make_event(user_id="u2", timestamp="2024-05-01T00:00:00Z", updated_at="2024-05-02")],
    )
    world.write("message_events/b.jsonl", [
        {"event_id": "m-e", "message_id": "m2", "event": "read", "occurred_at": "2024-01-02",
        "updated_at": "2024-02-01"}])  # fmt: skip
    world.write("order_items/b.jsonl", [
        {"order_id": "o", "line_number": 1, "product_id": "p", "quantity": 2, "unit_price": 1,
        "updated_at": "2024-02-01"}])  # fmt: skip
    world.load()
    assert world.query(
        """select load_id, dataset, key_id, parent_id, user_id, anonymous_id, happened_at::varchar
        from raw.touches order by all"""
    ) == [
        (4, "events", "e1", None, "u1", "x", "2024-03-01 10:00:00"),
        (5, "order_items", "o", "o", None, None, None),
        (6, "message_events", "m-e", "m1", None, None, "2024-01-01 00:00:00"),
    ]
    assert world.query("select load_id, user_id from raw.events") == [(4, "u2")]
    assert world.ledger("events/a.jsonl")["superseded"] == 1
    assert world.ledger("events/b.jsonl")["superseded"] == 0


def test_versions_are_kept(world):
    rows = [
        {"user_id": "u1", "city": "Rome"},
        {"user_id": "u1", "city": "Rome"},
        {"user_id": "u1", "city": "Bonn"},
        {"user_id": "u1", "city": "Rome", "updated_at": "2024-01-01"},
    ]
    world.write("users/a.jsonl", rows)
    world.write("users/b.jsonl", rows[:3])
    world.load()
    assert world.one("select count(*) from raw.users") == 3
    assert world.ledger("users/a.jsonl")["duplicate"] == 1
    assert world.ledger("users/b.jsonl")["duplicate"] == 3


def test_an_overwritten_file_is_loaded_whole(world):
    world.write("users/users.csv", "user_id,city\nu1,Rome\nu2,Bonn\n")
    world.load()
    world.write("users/users.csv", "user_id,city\nu1,Rome\nu2,Oslo\n")
    world.load()
    assert world.query("select rows_read, rows_duplicate from raw.load_files order by load_id") == [
        (2, 0),
        (2, 1),
    ]
    assert world.query("select user_id, city from raw.users order by all") == [
        ("u1", "Rome"),
        ("u2", "Bonn"),
        ("u2", "Oslo"),
    ]


def test_hashes_of_another_version_are_computed_anew(world, make_event):
    world.write("events/a.jsonl", [make_event()])
    world.load()
    world.con.execute(
        "update raw.events set key_hash = 1; update raw.load_meta set value = 'other' where name = 'hash_probe'"
    )
    world.write("events/b.jsonl", [make_event(), make_event("e2")])
    world.load()
    assert world.ledger("events/b.jsonl")["duplicate"] == 1


def test_colliding_hashes_are_told_apart_by_the_key(world, make_event):
    world.write("events/a.jsonl", [make_event("e1")])
    world.load()
    # As if another key had the same hash.
    world.con.execute("update raw.events set key_hash = hash('e2')")
    world.write("events/b.jsonl", [make_event("e2")])
    from orchestration.landing.load import load_landing

    load_landing(world.con, world.landing, world.settings, lambda: world.now, world.lines.append)
    assert world.column("select event_id from raw.events order by all") == ["e1", "e2"]
    assert world.ledger("events/b.jsonl")["accepted"] == 1
    assert world.ledger("events/b.jsonl")["duplicate"] == 0
