"""Contacts and contact pressure, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest

from tests.properties import oracle
from tests.properties.oracle import CHANNELS, World
from tests.properties.oracle.numbers import decay_factor

D = date(2024, 6, 15)
_ids = count()


def ago(age, text="12:00"):
    day = D - timedelta(days=age)
    return datetime.fromisoformat(f"{day.isoformat()}T{text}").replace(tzinfo=UTC)


def message(name="m", age=0, user="u", channel="email", **values):
    return {"message_id": name, "user_id": user, "channel": channel, "sent_at": ago(age), **values}


def reaction(event, occurred_at, name="m", **values):
    return {
        "event_id": f"x{next(_ids)}",
        "message_id": name,
        "event": event,
        "occurred_at": occurred_at,
        **values,
    }


def state(*events, **values):
    return oracle.contacts_as_of(World(messages=[message(age=5, **values)], message_events=events), D)["m"]


def flags(contact):
    names = ("delivered", "opened", "clicked", "bounced", "failed", "complained", "unsubscribed")
    return {name for name in names if getattr(contact, f"is_{name}")}


@pytest.mark.parametrize(
    ("event", "values", "expected"),
    [
        ("delivered", {}, {"delivered"}),
        ("opened", {}, {"opened"}),
        ("opened", {"is_machine_open": False}, {"opened"}),
        ("opened", {"is_machine_open": True}, set()),
        ("read", {}, {"opened"}),
        ("clicked", {}, {"opened", "clicked"}),
        ("clicked", {"is_machine": True}, set()),
        ("replied", {}, {"clicked"}),
        ("failed", {}, {"failed"}),
        ("complained", {}, {"complained"}),
        ("unsubscribed", {}, {"unsubscribed"}),
        ("bounced", {}, {"bounced"}),
        ("bounced", {"bounce_type": "hard"}, {"bounced"}),
    ],
)
def test_what_became_of_a_message(event, values, expected):
    contact = state(reaction(event, ago(5, "13:00"), **values))
    assert flags(contact) == expected
    assert contact.is_contact == (not expected & {"failed", "bounced"})


@pytest.mark.parametrize("kind", ["soft", None])
@pytest.mark.parametrize("sign", ["delivered", "opened", "clicked", "read", "replied"])
def test_a_soft_bounce_is_lifted_by_a_later_sign(kind, sign):
    bounce = reaction("bounced", ago(4), bounce_type=kind)
    machine = {"is_machine": True, "is_machine_open": True}
    assert not state(bounce, reaction(sign, ago(4, "12:00:01"), **machine)).is_bounced
    assert state(bounce, reaction(sign, ago(4), **machine)).is_bounced
    second = reaction("bounced", ago(2), bounce_type=kind)
    assert state(bounce, second, reaction(sign, ago(3))).is_bounced


def test_a_hard_bounce_is_never_lifted():
    assert state(reaction("bounced", ago(4), bounce_type="hard"), reaction("delivered", ago(3))).is_bounced


@pytest.mark.parametrize("values", [{"message_class": "service"}, {"message_class": "transactional"}])
def test_other_classes_are_no_contacts(values):
    assert not state(**values).is_contact


def test_a_channel_that_does_not_count_has_no_contacts():
    channels = {**CHANNELS, "email": replace(CHANNELS["email"], counts=False)}
    world = World(messages=[message()], channels=channels)
    assert not oracle.contacts_as_of(world, D)["m"].is_contact


def test_a_bounce_of_a_later_date_is_not_known_yet():
    world = World(messages=[message(age=5)], message_events=[reaction("bounced", ago(2, "00:00"), bounce_type="hard")])
    assert oracle.contacts_as_of(world, D - timedelta(days=3))["m"].is_contact
    assert not oracle.contacts_as_of(world, D - timedelta(days=2))["m"].is_contact
    assert oracle.contacts_as_of(world, D - timedelta(days=6)) == {}


def pressure(*messages, events=(), day=D, **parts):
    return oracle.contact_pressure_as_of(World(messages=messages, message_events=events, **parts), day)["u"]


def test_windows_of_contacts():
    rows = [message(f"m{age}", age) for age in (0, 6, 7, 29, 30, 89, 90)]
    row = pressure(*rows)
    assert (row["contacts_1d"], row["contacts_7d"], row["contacts_30d"]) == (1, 2, 4)
    assert row["days_since_last_contact"] == 0
    later = pressure(*rows, day=D + timedelta(days=1))
    assert (later["contacts_1d"], later["contacts_7d"], later["days_since_last_contact"]) == (0, 1, 1)


def test_without_a_contact():
    row = oracle.contact_pressure_as_of(World(users=[{"user_id": "u"}]), D)["u"]
    assert row["days_since_last_contact"] is None
    assert (row["decayed_pressure"], row["contacts_since_reaction"], row["open_share_30d"]) == (0, 0, None)


def test_decay_factors():
    # 2^(−1/7) = 0.90572366426…, 2^(−89/7) = 0.00014872…
    assert [decay_factor(age) for age in (0, 1, 7, 14)] == [
        Decimal(1),
        Decimal("0.905723664"),
        Decimal("0.5"),
        Decimal("0.25"),
    ]


def test_decayed_pressure_weighs_channels_over_90_days():
    rows = [
        message("a", 0),
        message("b", 7, channel="sms"),
        message("c", 1),
        message("d", 90, channel="voice"),
    ]
    assert pressure(*rows)["decayed_pressure"] == Decimal("3.405724")  # 1 + 3 × 0.5 + 0.905723664


def test_contacts_since_the_latest_reaction_to_anything():
    service = message("s", 20, channel="push", message_class="service")
    rows = [message("a", 10), message("b", 5), message("c", 1), service]
    assert pressure(*rows)["contacts_since_reaction"] == 3
    assert pressure(*rows, events=[reaction("read", ago(5), "s")])["contacts_since_reaction"] == 1
    machine = reaction("opened", ago(0), "a", is_machine_open=True)
    assert pressure(*rows, events=[machine])["contacts_since_reaction"] == 3
    tomorrow = reaction("read", ago(-1), "a")
    assert pressure(*rows, events=[tomorrow])["contacts_since_reaction"] == 3


def test_shares():
    rows = [message(name, age) for name, age in (("a", 0), ("b", 29), ("c", 30), ("d", 89), ("e", 90), ("f", 3))]
    bounced = reaction("bounced", ago(3), "f")
    events = [reaction("opened", ago(0), "a"), reaction("clicked", ago(0), "c"), bounced]
    row = pressure(*rows, events=[*events, reaction("opened", ago(0), "e")])
    assert (row["open_share_30d"], row["click_share_30d"]) == (Decimal("0.5"), 0)
    assert (row["open_share_90d"], row["click_share_90d"]) == (Decimal("0.5"), Decimal("0.25"))
    third = pressure(*rows[:3], events=[reaction("read", ago(0), "a"), reaction("read", ago(0), "b")])
    assert third["open_share_90d"] == Decimal("0.666667")


def test_negative_signals_of_90_days():
    kinds = ("unsubscribed", "complained", "bounced")
    events = [reaction(kind, ago(age), bounce_type="hard") for kind in kinds for age in (89, 90)]
    consents = [
        {"user_id": "u", "channel": channel, "status": status, "occurred_at": ago(age)}
        for channel, status, age in (
            ("push", "withdrawn", 89),
            ("push", "withdrawn", 90),
            ("web_push", "withdrawn", 1),
            ("email", "withdrawn", 1),
            ("push", "granted", 1),
            ("push", "withdrawn", -1),
        )
    ]
    corrected = {**consents[0], "source": "app", "updated_at": ago(3)}
    uninstall = {
        "event_id": "e",
        "anonymous_id": "a",
        "event": "Application Uninstalled",
        "timestamp": ago(89),
    }
    row = oracle.contact_pressure_as_of(
        World(
            messages=[message(age=100)],
            message_events=[*events, reaction("bounced", ago(1), bounce_type="soft")],
            consents=[*consents, corrected],
            events=[uninstall, {**uninstall, "event_id": "f", "timestamp": ago(90)}],
            identities=[{"anonymous_id": "a", "user_id": "u"}],
        ),
        D,
    )["u"]
    counts = {"unsubscribes": 1, "complaints": 1, "hard_bounces": 1, "push_offs": 2, "uninstalls": 1}
    assert {kind: row[kind] for kind in counts} == counts


def by_channel(**parts):
    return oracle.contact_pressure_by_channel_as_of(World(**parts), D)


def test_channels_with_an_address():
    user = {"user_id": "u", "email": "u@example.org", "phone": "+33612345678"}
    assert {channel for _, channel in by_channel(users=[{"user_id": "u"}])} == {"in_app"}
    assert {c for _, c in by_channel(users=[user])} == {"in_app", "email", "sms", "whatsapp", "voice"}
    token = {"user_id": "u", "channel": "push", "address": "t", "status": "invalid", "updated_at": ago(1)}
    assert {c for _, c in by_channel(users=[{"user_id": "u"}], addresses=[token])} == {"in_app"}
    active = {**token, "status": "active"}
    assert {c for _, c in by_channel(users=[{"user_id": "u"}], addresses=[active])} == {"in_app", "push"}
    assert by_channel(addresses=[active]) == {}


def test_a_contact_of_90_days_gives_a_channel_a_row():
    rows = by_channel(messages=[message("a", 89), message("b", 90, channel="sms"), message("c", 2, channel="push")])
    assert {channel for _, channel in rows} == {"in_app", "email", "push"}
    assert rows["u", "push"]["contacts_7d"] == 1
    assert rows["u", "email"]["days_since_last_contact"] == 89


def test_a_reaction_on_one_channel_counts_on_all():
    messages = [message("a", 5), message("b", 4, channel="push"), message("c", 1, channel="push")]
    rows = by_channel(messages=messages, message_events=[reaction("read", ago(3), "a")])
    assert rows["u", "email"]["contacts_since_reaction"] == 0
    assert rows["u", "push"]["contacts_since_reaction"] == 1
