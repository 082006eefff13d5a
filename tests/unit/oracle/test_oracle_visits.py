"""Identity, visits, known users, engagement and erasures, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import count

import pytest

from tests.properties import oracle
from tests.properties.oracle import World
from tests.properties.oracle.erasure import without_erased
from tests.properties.oracle.identity import credited_events
from tests.properties.oracle.visits import visits_by_user

D = date(2024, 6, 15)
_ids = count()


def at(text, day=D):
    return datetime.fromisoformat(f"{day.isoformat()}T{text}").replace(tzinfo=UTC)


def ago(age, text="12:00"):
    return at(text, D - timedelta(days=age))


def event(timestamp, user="u", **values):
    return {"event_id": f"e{next(_ids)}", "user_id": user, "event": "page", "timestamp": timestamp, **values}


def anonymous(timestamp, **values):
    return event(timestamp, None, anonymous_id="a", **values)


def visits(*events, **settings):
    found = visits_by_user(World(events=events, **settings), D)
    return (len(found["u"].visits), found["u"].continued, len(found["u"].days)) if found else (0, 0, 0)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([event(at("10:00")), event(at("10:30"))], (1, 0, 1)),
        ([event(at("10:00")), event(at("10:30:00.000001"))], (2, 0, 1)),
        ([event(at("10:00")), event(at("10:20")), event(at("10:50"))], (1, 0, 1)),
        ([event(at("10:00"), session_id="s"), event(at("18:00"), session_id="s")], (1, 0, 1)),
        ([event(at("10:00"), session_id="s"), event(at("10:01"), session_id="t")], (2, 0, 1)),
        # Events with a session are no previous event for those without one.
        ([event(at("10:00")), event(at("10:25"), session_id="s"), event(at("10:45"))], (3, 0, 1)),
        (
            [event(at("10:00"), event="Application Installed"), event(at("11:00"), event="Unheard Of")],
            (0, 0, 0),
        ),
        ([event(at("00:00", D + timedelta(days=1)))], (0, 0, 0)),
    ],
)
def test_visits_of_a_date(events, expected):
    assert visits(*events) == expected


def test_sessions_end_at_midnight_of_the_business_time_zone():
    events = [event(at("21:50"), session_id="s"), event(at("22:10"), session_id="s")]
    assert visits(*events) == (1, 0, 1)
    assert visits_by_user(World(events=events, time_zone="Europe/Paris"), D + timedelta(days=1))["u"].continued == 1


@pytest.mark.parametrize(
    ("before", "after", "continued"),
    [
        (("23:40", None), ("00:10", None), 1),
        (("23:40", None), ("00:10:01", None), 0),
        (("23:40", "s"), ("00:10", "t"), 1),
        (("10:00", "s"), ("15:00", "s"), 1),
        (("10:00", "s"), ("15:00", "t"), 0),
    ],
)
def test_a_first_visit_continues_that_of_the_evening_before(before, after, continued):
    events = [event(ago(1, before[0]), session_id=before[1]), event(ago(0, after[0]), session_id=after[1])]
    assert visits(*events) == (2, continued, 2)


def test_only_the_first_visit_may_continue_only_the_last():
    late = event(ago(1, "10:00"), session_id="s")
    last = event(ago(1, "11:00"), session_id="t")
    first = event(ago(0, "09:00"), session_id="s")
    assert visits(late, last, first) == (3, 0, 2)
    assert visits(late, event(ago(0, "08:00")), first) == (3, 0, 2)
    assert visits(event(ago(2), session_id="s"), first) == (2, 0, 2)


def test_of_visits_at_the_same_instant_any_may_carry_the_session():
    events = [
        event(ago(1, "11:00"), session_id="s"),
        event(ago(1, "11:00"), session_id="t"),
        event(ago(0, "09:00"), session_id="t"),
        event(ago(0, "09:00"), session_id="x"),
    ]
    assert visits(*events) == (4, 1, 2)


def engagement(*ages):
    return oracle.family_as_of(World(events=[event(ago(age)) for age in ages]), D, "engagement")["u"]


@pytest.mark.parametrize(
    ("ages", "segment"),
    [
        ((14,), "new"),
        ((14, 3, 1), "new"),
        ((15,), "one_time"),
        ((400,), "one_time"),
        ((60, 31), "dormant"),
        ((60, 30), "engaged"),
        ((15, 0), "engaged"),
    ],
)
def test_engagement(ages, segment):
    assert engagement(*ages) == segment


def test_a_continued_visit_leaves_one_visit_and_gives_the_last_date():
    events = [event(ago(31, "23:50")), event(ago(30, "00:10"))]
    assert oracle.family_as_of(World(events=events), D, "engagement") == {"u": "one_time"}
    three = [event(ago(60)), *events]
    assert oracle.family_as_of(World(events=three), D, "engagement") == {"u": "engaged"}


def test_without_a_visit_a_known_user_is_never_seen():
    world = World(users=[{"user_id": "u"}], events=[event(at("10:00"), event="Application Installed")])
    assert oracle.family_as_of(world, D, "engagement") == {"u": "never_seen"}


def owners(*events, links=(), **settings):
    world = World(events=events, identities=links, **settings)
    users = {row["event_id"]: user for user, row in credited_events(world, D)}
    return [users.get(row["event_id"]) for row in events]


def link(user, linked_at=None):
    return {"anonymous_id": "a", "user_id": user, "linked_at": linked_at}


def test_links_work_back_and_own_ids_win():
    events = [anonymous(ago(5)), anonymous(ago(1)), event(ago(1), "b")]
    assert owners(*events) == [None, None, "b"]
    assert owners(*events, links=[link("u", ago(3))]) == ["u", "u", "b"]
    assert owners(*events, links=[link("u")]) == ["u", "u", "b"]
    assert owners(*events, links=[link("u", ago(-1))]) == [None, None, "b"]


def test_an_event_with_both_ids_links():
    assert owners(anonymous(ago(5)), event(ago(3), "u", anonymous_id="a")) == ["u", "u"]


def test_the_earliest_link_owns_ties_to_the_smaller_user():
    assert owners(anonymous(ago(5)), links=[link("b", ago(3)), link("c", ago(4))]) == ["c"]
    assert owners(anonymous(ago(5)), links=[link("c", ago(4)), link("b", ago(4))]) == ["b"]


def test_a_shared_device_is_nobodys_from_the_second_link_on():
    links = [link("b", ago(4)), link("c", ago(2)), link("b", ago(1))]
    events = [anonymous(ago(2, "11:59:59")), anonymous(ago(2)), anonymous(ago(0)), event(ago(0), "c")]
    assert owners(*events, links=links) == ["b", None, None, "c"]
    assert owners(*events, links=links, max_users_per_device=2) == ["b", "b", "b", "c"]
    assert owners(*events, links=[link("b"), link("c")]) == [None, None, None, "c"]


def test_a_second_link_of_a_later_date_is_not_known_yet():
    world = World(events=[anonymous(ago(5)), anonymous(ago(1))], identities=[link("b", ago(4)), link("c", ago(3))])
    assert [user for user, _ in credited_events(world, D - timedelta(days=4))] == ["b"]
    assert [user for user, _ in credited_events(world, D)] == ["b"]


def test_link_back_days_are_24_hours_each():
    events = [anonymous(ago(3, "11:59:59")), anonymous(ago(3)), anonymous(ago(2))]
    links = [link("u", ago(2))]
    assert owners(*events, links=links, link_back_days=1) == [None, "u", "u"]
    assert owners(*events, links=links, link_back_days=0) == [None, None, "u"]
    assert owners(*events, links=[link("u")], link_back_days=0) == ["u", "u", "u"]


@pytest.mark.parametrize(
    ("dataset", "row", "is_known"),
    [
        ("users", {"created_at": None}, True),
        ("users", {"created_at": ago(0)}, True),
        ("users", {"created_at": ago(-1)}, False),
        ("orders", {"order_id": "o", "ordered_at": ago(0), "status": "cancelled"}, True),
        ("orders", {"order_id": "o", "ordered_at": ago(-1)}, False),
        ("events", {"event_id": "e", "event": "Unheard Of", "timestamp": ago(0)}, True),
        ("events", {"event_id": "e", "event": "page", "timestamp": ago(-1)}, False),
        ("identities", {"anonymous_id": "a", "linked_at": None}, True),
        ("identities", {"anonymous_id": "a", "linked_at": ago(-1)}, False),
        ("consents", {"channel": "email", "status": "granted", "occurred_at": ago(0)}, True),
        ("messages", {"message_id": "m", "channel": "email", "sent_at": ago(0)}, True),
        ("subscriptions", {"subscription_id": "s", "started_at": ago(0)}, True),
        ("addresses", {"channel": "push", "address": "t", "updated_at": ago(0)}, False),
        ("erasures", {"requested_at": ago(500)}, False),
    ],
)
def test_known_users(dataset, row, is_known):
    assert oracle.users_as_of(World(**{dataset: [{"user_id": "u", **row}]}), D) == ({"u"} if is_known else set())


def test_an_anonymous_event_makes_nobody_known():
    assert oracle.users_as_of(World(events=[anonymous(ago(0))]), D) == set()


def test_known_is_a_matter_of_the_business_time_zone():
    late = event(at("23:00"))
    assert oracle.users_as_of(World(events=[late]), D) == {"u"}
    assert oracle.users_as_of(World(events=[late], time_zone="Europe/Paris"), D) == set()


def test_an_erasure_drops_rows_up_to_its_time():
    erasures = [{"user_id": "u", "requested_at": ago(3)}, {"user_id": "u", "requested_at": ago(9)}]
    world = World(
        users=[{"user_id": "u"}, {"user_id": "v"}],
        events=[event(ago(3)), event(ago(3, "12:00:01")), event(ago(9), "v")],
        messages=[{"message_id": "m", "user_id": "u", "channel": "email", "sent_at": ago(4)}],
        message_events=[{"event_id": "x", "message_id": "m", "event": "opened", "occurred_at": ago(0)}],
        erasures=erasures,
    )
    left = without_erased(world)
    assert [row["user_id"] for row in left.users] == ["v"]
    assert [row["timestamp"] for row in left.events] == [ago(3, "12:00:01"), ago(9)]
    assert list(left.messages) == list(left.message_events) == []
    assert oracle.users_as_of(world, D - timedelta(days=4)) == {"v"}


def test_an_erasure_drops_devices_linked_only_to_the_user():
    erasures = [{"user_id": "u", "requested_at": ago(0)}]
    events = [anonymous(ago(1)), anonymous(ago(-1))]
    only = World(events=events, identities=[link("u", ago(1))], erasures=erasures)
    assert list(without_erased(only).events) == [events[1]]
    shared = World(events=events, identities=[link("u", ago(1)), link("v", ago(0))], erasures=erasures)
    assert list(without_erased(shared).events) == events
