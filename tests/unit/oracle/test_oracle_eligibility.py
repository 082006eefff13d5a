"""Planned contacts, headroom and who may be contacted on the plan date, by hand."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from people import D, ago, consent, friend, message, order, planned, reaction, together

from tests.properties import oracle
from tests.properties.oracle import Blackout, PolicyRow, World

P = D + timedelta(days=1)


def pressure(**parts):
    parts.setdefault("users", [{"user_id": "u"}])
    return oracle.contact_pressure_as_of(World(**parts), D)["u"]


def row_of(channel="email", user="u", **parts):
    return oracle.channel_eligibility_as_of(World(**parts), D)[user, channel]


def reason(channel="email", user="u", **parts):
    return row_of(channel, user, **{**friend(), **parts})["reason"]


def caps(*rows):
    return {"contact_policy": [PolicyRow(*row) for row in rows]}


# --- planned contacts


@pytest.mark.parametrize(("age", "number"), [(-1, 0), (0, 1), (3, 1), (4, 0)])
def test_a_planned_contact_waits_for_its_log_for_some_days(age, number):
    assert pressure(planned_contacts=[planned(age)])["contacts_30d"] == number


@pytest.mark.parametrize(
    ("sent", "number"),
    [
        ({"age": 2}, 1),
        ({"age": 1}, 1),
        ({"age": 0}, 2),
        ({"age": 3}, 2),
        ({"age": 2, "channel": "push"}, 2),
        ({"age": 2, "campaign_id": "autumn"}, 2),
        ({"age": 2, "message_class": "service"}, 0),
    ],
)
def test_its_message_is_of_the_date_or_the_day_after(sent, number):
    row = message(**{"campaign_id": "spring", **sent})
    assert pressure(planned_contacts=[planned(2)], messages=[row])["contacts_30d"] == number


def test_other_classes_are_not_pending():
    assert pressure(planned_contacts=[planned(0, message_class="transactional")])["contacts_7d"] == 0


def test_a_pending_contact_counts_as_pressure_but_not_in_shares():
    sent = message(5)
    rows = {"messages": [sent], "message_events": [reaction(sent, "opened", 2)]}
    row = pressure(planned_contacts=[planned(1), planned(2, "autumn"), planned(3, "winter")], **rows)
    assert (row["contacts_7d"], row["days_since_last_contact"], row["open_share_30d"]) == (4, 1, 1)
    assert row["contacts_since_reaction"] == 2  # those of the reaction's date and after
    assert row["pressure_status"] == "healthy"
    assert pressure(planned_contacts=[planned(1)], **caps(("*", "all", 7, 1)))["pressure_status"] == "at_cap"


def test_planned_contacts_of_30_days_with_known_users():
    rows = [planned(-2), planned(-1), planned(29), planned(30), planned(1, user="nobody")]
    world = World(users=[{"user_id": "u"}], planned_contacts=rows)
    assert {key[0] for key in oracle.planned_contacts_as_of(world, D)} == {P, D - timedelta(days=29)}


def test_what_was_planned_for_an_erased_user_is_dropped_up_to_the_date_of_the_request():
    erased = {"erasures": [{"user_id": "u", "requested_at": ago(2, "00:00")}], "users": [{"user_id": "u"}]}
    world = World(planned_contacts=[planned(1), planned(2), planned(3)], messages=[message(1)], **erased)
    assert [key[0] for key in oracle.planned_contacts_as_of(world, D)] == [D - timedelta(days=1)]
    assert oracle.contact_pressure_as_of(world, D)["u"]["contacts_7d"] == 2


# --- caps


def test_headroom_is_of_windows_that_end_with_the_plan_date():
    rows = [message(0), message(5), message(6), message(29)]
    row = pressure(messages=rows, **caps(("*", "all", 7, 3), ("default", "all", 30, 9), ("*", "all", 1, 2)))
    assert (row["headroom"], row["cap_use"]) == (1, "1d 0/2|7d 2/3|30d 3/9")
    assert pressure()["headroom"] is None
    assert pressure(**caps(("*", "email", 1, 1)))["headroom"] is None


def test_from_when_on_there_is_headroom():
    rows = [message(0), message(2), message(2), message(5)]
    days = {limit: pressure(messages=rows, **caps(("*", "all", 7, limit)))["next_eligible_date"] for limit in range(6)}
    assert days[0] is None
    assert days[1] == D + timedelta(days=7)
    assert days[2] == days[3] == D + timedelta(days=5)
    assert days[4] == D + timedelta(days=2)
    assert days[5] == P


def test_a_channel_waits_for_its_gap_and_for_all():
    parts = {"messages": [message(1), message(0, "push")], "channel_gaps": {"email": 4}}
    rows = oracle.contact_pressure_by_channel_as_of(World(**friend(), **parts, **caps(("*", "all", 3, 2))), D)
    assert rows["u", "email"]["next_eligible_date"] == D + timedelta(days=3)
    assert rows["u", "push"]["next_eligible_date"] == D + timedelta(days=2)
    assert (rows["u", "email"]["headroom"], rows["u", "email"]["cap_use"]) == (None, None)


@pytest.mark.parametrize(("plans", "by_others"), [(0, True), (1, True), (2, False)])
def test_over_cap_by_others(plans, by_others):
    rows = [message(age, campaign_id="spring") for age in (1, 3)]
    parts = {"messages": rows, "planned_contacts": [planned(1), planned(4)][:plans]}
    row = pressure(**parts, **caps(("*", "email", 7, 1)))
    assert row["over_cap_not_by_us"] is by_others
    assert pressure(**parts, **caps(("*", "email", 7, 2), ("*", "all", 1, 0)))["over_cap_not_by_us"] is False


# --- reasons


def test_who_may_be_contacted():
    assert row_of(**friend()) == {"plan_date": P, "is_eligible": True, "reason": None, "service_reason": None}
    assert reason("push") == "no_address"
    assert reason("sms") == "no_consent"
    assert reason(do_not_contact=["u"]) == "do_not_contact"
    assert reason("in_app") is None


@pytest.mark.parametrize(("born", "is_minor"), [("2008-06-16", False), ("2008-06-17", True), ("2030-01-01", True)])
def test_minors_are_those_of_the_plan_date(born, is_minor):
    assert (reason(**friend(birth_date=date.fromisoformat(born))) == "minor") is is_minor


def test_who_has_been_silent_for_years():
    old = {"users": friend()["users"], "consents": [consent(age=1095)]}
    assert reason(**old) == "inactive_too_long"
    assert reason(**{**old, "consents": [consent(age=1094)]}) is None
    assert reason(**old, orders=[order(1000)]) is None
    assert reason(**old, messages=[message(3)]) == "inactive_too_long"
    assert reason(users=[{"user_id": "u"}], consents=[]) == "inactive_too_long"
    assert reason(users=[{"user_id": "u", "created_at": ago(1)}], consents=[]) == "no_address"


def test_of_users_who_share_an_address_the_latest_active_one_is_contacted():
    both = together(friend("a", "email", email="X@example.org"), friend("b", "email", email="x@example.org"))
    assert row_of(user="a", **both)["reason"] is None
    assert row_of(user="b", **both)["reason"] == "duplicate_address"
    later = {**both, "orders": [order(100, user_id="b"), order(101, user_id="a")]}
    assert row_of(user="a", **later)["reason"] == "duplicate_address"
    sent = {"messages": [message(1, user_id="a")], **caps(("*", "email", 7, 1), ("*", "all", 7, 2))}
    assert row_of(user="b", **later, **sent)["reason"] == "channel_cap"
    own = oracle.contact_pressure_as_of(World(**later, **sent), D)["b"]
    assert (own["contacts_7d"], own["headroom"]) == (0, 1)


def test_suppression_and_consent():
    sent = message(5)
    for name, expected in (("complained", "suppressed"), ("unsubscribed", "suppressed"), ("opened", None)):
        assert reason(messages=[sent], message_events=[reaction(sent, name, 4)]) == expected
    stop = {"messages": [sent], "message_events": [reaction(sent, "unsubscribed", 4)]}
    assert reason(**stop, consents=[consent(age=3)]) is None
    assert reason(consents=[consent(age=3), consent("withdrawn", 2)]) == "no_consent"


def test_what_stops_a_transactional_message():
    sent = message(5)
    bounce = {"messages": [sent], "message_events": [reaction(sent, "bounced", 5, bounce_type="hard")]}
    parts = {**friend(), "do_not_contact": ["u"]}
    assert row_of(**parts)["service_reason"] is None
    assert row_of(**{**parts, "consents": [consent("withdrawn")]})["service_reason"] is None
    assert row_of(**parts, **bounce)["service_reason"] == "suppressed"
    assert row_of("push", **parts)["service_reason"] == "no_address"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (Blackout(P, None, None, None), "blackout"),
        (Blackout(D, None, None, None), None),
        (Blackout(None, "sunday", None, None), "blackout"),
        (Blackout(None, "saturday", None, None), None),
        (Blackout(P, None, "push", None), None),
        (Blackout(P, None, "email", " fr"), "blackout"),
        (Blackout(P, None, None, "DE"), None),
    ],
)
def test_quiet_days(row, expected):
    assert reason(**friend(country="Fr "), blackout_dates=[row]) == expected


def test_the_pause_after_an_order_ends():
    assert reason(orders=[order(6)]) == "post_purchase"
    assert reason(orders=[order(7)]) is None


def test_gaps_and_caps_in_their_order():
    sent = {"messages": [message(2)]}
    assert reason(**sent, channel_gaps={"email": 4}) == "min_gap"
    assert reason(**sent, channel_gaps={"email": 3}) is None
    both = caps(("*", "email", 7, 1), ("*", "all", 7, 1))
    assert reason(**sent, **both) == "channel_cap"
    assert reason(**sent, **caps(("*", "all", 7, 1))) == "total_cap"
    assert reason(**caps(("default", "push", 1, 0), ("new", "all", 1, 0))) is None
    assert reason(**caps(("default", "all", 1, 0))) == "total_cap"


def test_a_cap_of_the_fatigued():
    sent = message(30)
    tired = {"messages": [sent], "message_events": [reaction(sent, "unsubscribed", 29)]}
    assert reason(**tired, **caps(("fatigued", "all", 7, 0))) == "fatigued"
    assert reason(**tired, **caps(("fatigued", "email", 7, 0), ("*", "all", 7, 0))) == "total_cap"
