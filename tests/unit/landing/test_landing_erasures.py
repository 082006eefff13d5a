"""Erasures drop rows wherever and whenever they load."""

import json
from itertools import permutations

import pytest

from orchestration.errors import BarometerError

ERASURE = [{"user_id": "u1", "requested_at": "2024-03-10T12:00:00Z"}]
BEFORE, AT, AFTER = "2024-03-01T00:00:00Z", "2024-03-10T12:00:00Z", "2024-03-10T12:00:01Z"


def rows_of(user, time, tag):
    """A row of every dataset that an erasure concerns."""
    message = {"message_id": f"m{tag}", "user_id": user, "channel": "email", "sent_at": time}
    return {
        "events": [{"event_id": f"e{tag}", "user_id": user, "event": "page", "timestamp": time}],
        "orders": [{"order_id": f"o{tag}", "user_id": user, "ordered_at": time, "gross_amount": 1}],
        "order_items": [{"order_id": f"o{tag}", "line_number": 1, "product_id": "p", "quantity": 1, "unit_price": 1}],
        "users": [{"user_id": user, "created_at": time, "city": tag, "phone": "+4915123456789"}],
        "identities": [{"anonymous_id": f"a{tag}", "user_id": user, "linked_at": time}],
        "addresses": [{"user_id": user, "channel": "push", "address": f"t{tag}", "updated_at": time}],
        "consents": [{"user_id": user, "channel": "email", "status": "granted", "occurred_at": time, "source": tag}],
        "messages": [message],
        "message_events": [{"event_id": f"x{tag}", "message_id": f"m{tag}", "event": "opened", "occurred_at": AFTER}],
        "subscriptions": [{"subscription_id": f"s{tag}", "user_id": user, "started_at": time}],
    }


CHILDREN = {"order_items", "message_events"}


@pytest.mark.parametrize("erasure_first", [True, False])
def test_every_dataset(world, erasure_first):
    if erasure_first:
        world.write("erasures/a.jsonl", ERASURE)
        world.load()
    for tag, user, time in (("1", "u1", BEFORE), ("2", "u1", AT), ("3", "u1", AFTER), ("4", "u2", BEFORE)):
        for dataset, rows in rows_of(user, time, tag).items():
            world.write(f"{dataset}/{tag}.jsonl", rows)
    world.load()
    if not erasure_first:
        assert world.one("select count(*) from raw.events") == 4
        world.write("erasures/a.jsonl", ERASURE)
        world.load()
    for dataset in rows_of("u1", AT, "1"):
        files = f"select file from raw.{dataset} join raw.load_files using (load_id) order by all"
        assert world.column(files) == [
            f"{dataset}/3.jsonl", f"{dataset}/4.jsonl"]  # fmt: skip
        assert [world.ledger(f"{dataset}/{tag}.jsonl")["erased"] for tag in "1234"] == [1, 1, 0, 0]
    touched = dict(world.query("select dataset, count(*) from raw.touches group by all"))
    if erasure_first:
        assert set(touched) <= CHILDREN
    else:
        assert touched == dict.fromkeys(rows_of("u1", AT, "1"), 2)
        assert world.column("select distinct load_id from raw.touches") == [
            world.one("select max(load_id) from raw.load_files")
        ]


def test_rows_without_a_date_are_dropped(world):
    world.write("erasures/a.jsonl", ERASURE)
    world.write("users/a.jsonl", [{"user_id": "u1"}, {"user_id": "u2"}])
    world.write("identities/a.jsonl", [{"user_id": "u1", "anonymous_id": "a"}, {"user_id": "u2", "anonymous_id": "a"}])
    world.load()
    assert world.column("select user_id from raw.users") == ["u2"]
    assert world.column("select user_id from raw.identities") == ["u2"]


def anonymous(event_id, anonymous_id, time=BEFORE):
    return {"event_id": event_id, "anonymous_id": anonymous_id, "event": "page", "timestamp": time}


FILES = {
    "erasures/a.jsonl": ERASURE,
    "identities/a.jsonl": [
        {"anonymous_id": "own", "user_id": "u1", "linked_at": BEFORE},
        {"anonymous_id": "shared", "user_id": "u1", "linked_at": BEFORE},
        {"anonymous_id": "later", "user_id": "u1", "linked_at": AFTER},
    ],
    "identities/b.jsonl": [{"anonymous_id": "shared", "user_id": "u2", "linked_at": AFTER}],
    "events/a.jsonl": [
        anonymous("1", "own"), anonymous("2", "own", AFTER), anonymous("3", "shared"), anonymous("4",
        "stranger"),
        anonymous("5", "by_event"), anonymous("6", "later"), anonymous("7", "own", AT),
    ],
    "events/b.jsonl": [anonymous("8", "by_event") | {"user_id": "u1"}],
}  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(FILES))[::13])
def test_linked_anonymous_ids_in_any_order(world, order):
    pending = []
    for file in order:
        pending.append(file)
        # The link that makes an id shared has to be known when the id's rows are dropped.
        if file == "identities/a.jsonl" and "identities/b.jsonl" not in pending:
            continue
        for name in pending:
            world.write(name, FILES[name])
        if "identities/a.jsonl" not in pending or "identities/b.jsonl" in pending:
            world.load()
            pending = []
    for name in FILES:
        world.write(name, FILES[name]) if not (world.landing / name).exists() else None
    world.load()
    assert world.column("select event_id from raw.events order by all") == ["2", "3", "4"]
    assert world.ledger("events/a.jsonl")["erased"] == 4


def test_a_dropped_link_is_remembered(world):
    world.write("erasures/a.jsonl", ERASURE)
    world.write("identities/a.jsonl", FILES["identities/a.jsonl"])
    world.load()
    world.write("events/a.jsonl", FILES["events/a.jsonl"])
    world.load()
    assert world.column("select event_id from raw.events order by all") == ["2", "4", "5"]
    assert world.query("select count(*) from raw.erased_ids where kind = 'anonymous' and id <> 'own'") == [(2,)]


@pytest.mark.parametrize("later", [False, True])
def test_children_that_come_later(world, later):
    world.write("erasures/a.jsonl", ERASURE)
    rows = rows_of("u1", BEFORE, "1")
    files = ["orders", "messages", "order_items", "message_events"]
    for names in (files[:2], files[2:]) if later else (files[2:], files[:2]):
        for name in names:
            world.write(f"{name}/a.jsonl", rows[name])
        world.load()
    for name in files:
        assert world.query(f"from raw.{name}") == []
        assert world.ledger(f"{name}/a.jsonl")["erased"] == 1


def test_an_order_with_a_later_version_keeps_its_lines(world):
    world.write("erasures/a.jsonl", ERASURE)
    rows = rows_of("u1", BEFORE, "1")
    world.write("orders/a.jsonl", [*rows["orders"], rows["orders"][0] | {"ordered_at": AFTER}])
    world.write("order_items/a.jsonl", rows["order_items"])
    world.load()
    assert world.one("select count(*) from raw.order_items") == 1


def test_the_latest_request_counts(world, make_event):
    world.write("erasures/a.jsonl", ERASURE)
    world.write("events/a.jsonl", [make_event(timestamp=AFTER)])
    world.load()
    assert world.one("select count(*) from raw.events") == 1
    world.write("erasures/b.jsonl", [{"user_id": "u1", "requested_at": "2024-04-01T00:00:00Z"}])
    world.load()
    assert world.query("from raw.events") == []
    assert world.query("select user_id, happened_at::varchar from raw.touches") == [("u1", "2024-03-10 12:00:01")]


def test_an_erased_row_makes_room_for_another_under_its_key(world, make_event):
    world.write("erasures/a.jsonl", ERASURE)
    world.write("events/a.jsonl", [make_event(updated_at="2024-09-01"), make_event(user_id="u2")])
    world.load()
    assert world.column("select user_id from raw.events") == ["u2"]


def test_stand_ins_of_erased_users_are_void_and_their_phone_numbers_go(world):
    world.write("consents/a.jsonl", [
        {"user_id": user, "channel": "sms", "status": "?", "occurred_at": time}
        for user, time in (("u1", BEFORE), ("u1", AFTER), ("u2", BEFORE))])  # fmt: skip
    world.write("users/a.jsonl", [{"user_id": "u1", "phone": "0151 23456789", "country": "DE"}, {"user_id": "u2"}])
    world.load()
    assert world.one("select count(*) from raw.phone_numbers") == 1
    world.write("erasures/a.jsonl", ERASURE)
    world.load()
    assert world.query("select row_number, user_id, is_erased from raw.consent_stand_ins order by all") == [
        (1, "", True),
        (2, "u1", False),
        (3, "u2", False),
    ]
    assert world.query("from raw.phone_numbers") == []


def everything(world):
    return json.dumps(world.dump(), default=str)


@pytest.mark.parametrize("erasure_first", [True, False])
def test_nothing_tells_of_an_erased_user_but_keyed_hashes(world, erasure_first):
    """What was loaded before the erasure is noted, once, for those who take it out of everything else."""
    telling = ("u-gone", "gone@example.org", "+49 151 23456789", "token-gone", "a-gone", "o-gone", "m-gone", "s-gone")
    files = {name: rows for name, rows in rows_of("u-gone", BEFORE, "-gone").items() if name != "events"}
    files["users"] = [{"user_id": "u-gone", "email": telling[1], "phone": telling[2]}]
    files["addresses"] = [{"user_id": "u-gone", "channel": "push", "address": "token-gone", "updated_at": BEFORE}]
    files["events"] = [{"event_id": "e1", "anonymous_id": "a-gone", "event": "page", "timestamp": BEFORE}]
    erasure = {"erasures": [{"user_id": "u-gone", "requested_at": "2024-03-10T12:00:00Z"}]}
    for some in (erasure, files) if erasure_first else (files, erasure):
        for dataset, rows in some.items():
            world.write(f"{dataset}/a.jsonl", rows)
        world.load()
        if some is files and not erasure_first:
            assert all(value in everything(world) for value in telling)
    noted = world.query("select kind, value from raw.forgetting order by all")
    if erasure_first:
        # events come before the links that tell whose device it is, so these were written and dropped
        assert noted == [("text", "a-gone"), ("user", "u-gone")]
    else:
        assert {value for _, value in noted} >= set(telling)
    assert {kind for kind, value in noted if value == "u-gone"} == {"user"}
    world.con.execute("delete from raw.forgetting; delete from raw.touches")
    assert [value for value in telling if value in everything(world)] == []


def test_a_repeated_erasure_is_a_duplicate_and_forgets_nobody_again(world):
    world.write("erasures/a.jsonl", ERASURE)
    world.load()
    world.con.execute("delete from raw.forgetting")
    world.write("erasures/b.jsonl", ERASURE)
    world.load()
    assert world.ledger("erasures/b.jsonl")["duplicate"] == 1
    assert world.query("from raw.forgetting") == []


def test_who_comes_back_is_known_by_the_hash(world, make_event):
    world.write("erasures/a.jsonl", ERASURE)
    world.write("events/a.jsonl", [make_event("e1", timestamp=AFTER), make_event("e2", user_id="u2")])
    world.load()
    assert world.column("select user_id from raw.returned_users") == ["u1"]
    assert world.one("select count(*) from raw.erasures join raw.returned_users on erasures.user_id = user_hash") == 1
    # and is forgotten by a second request
    world.write("erasures/b.jsonl", [{"user_id": "u1", "requested_at": "2024-04-01T00:00:00Z"}])
    world.load()
    assert world.query("from raw.returned_users") == []


def test_another_key_would_forget_who_was_erased(world, make_event):
    world.set(hash_key="a secret")
    world.write("erasures/a.jsonl", ERASURE)
    world.load()
    world.write("events/a.jsonl", [make_event(timestamp=BEFORE)])
    for wrong in (None, "another secret"):
        world.set(hash_key=wrong)
        with pytest.raises(BarometerError, match="BAROMETER_HASH_KEY is not the one"):
            world.load()
    world.set(hash_key="a secret")
    world.load()
    assert world.query("from raw.events") == []


def test_a_key_that_is_set_later_changes_nothing(world, make_event):
    world.write("erasures/a.jsonl", ERASURE)
    world.load()
    world.set(hash_key="set later")
    world.write("events/a.jsonl", [make_event(timestamp=BEFORE)])
    world.load()
    assert world.query("from raw.events") == []


@pytest.mark.parametrize("erasure_first", [True, False])
def test_rejected_rows_that_name_an_erased_user_keep_their_number_alone(world, make_event, erasure_first):
    bad = [make_event("e1", event=""), make_event("e2", event="", user_id="u2", properties={"of": "u12"})]
    for name, rows in sorted({"erasures": ERASURE, "events": bad}.items(), reverse=not erasure_first):
        world.write(f"{name}/a.jsonl", rows)
        world.load()
    assert world.query("select row_number, reason, content is null from raw.rejected_rows order by all") == [
        (1, "missing_event", True),
        (2, "missing_event", False),
    ]
