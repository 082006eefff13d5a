"""Message engagement, fatigue, policy segments, pressure status, subscriptions and reachability, by hand."""

from __future__ import annotations

import pytest
from people import ago, consent, event, message, order, reaction, row_of, segment_of

from tests.properties.oracle import PolicyRow


def engagement(messages=(), events=(), consents=()):
    return segment_of("message_engagement", messages=messages, message_events=events, consents=consents)


def test_message_engagement():
    sent = message(50, message_class="service")
    assert engagement([], [], [consent()]) == "never_contacted"
    assert engagement([message(-1)]) == "never_contacted"
    assert engagement([sent]) == "quiet"
    assert engagement([sent], [reaction(sent, "clicked", 29)]) == "clicker"
    assert engagement([sent], [reaction(sent, "replied", 29)]) == "clicker"
    assert engagement([sent], [reaction(sent, "clicked", 30)]) == "quiet"
    assert engagement([sent], [reaction(sent, "opened", 29)]) == "reader"
    assert engagement([sent], [reaction(sent, "opened", 30)]) == "quiet"
    assert engagement([sent], [reaction(sent, "opened", 0, is_machine_open=True)]) == "quiet"


def test_new_subscriber():
    sent = message(50)
    click = [reaction(sent, "clicked", 0)]
    assert engagement([sent], click, [consent(age=14)]) == "new_subscriber"
    assert engagement([sent], click, [consent(age=15)]) == "clicker"
    assert engagement([sent], click, [consent(age=1), consent(age=15, channel="sms")]) == "clicker"
    assert engagement([sent], click, [consent(age=-1)]) == "clicker"
    assert engagement([sent], click, [consent("withdrawn", age=15), consent(age=3)]) == "new_subscriber"


def test_passive():
    five = [message(age) for age in (0, 1, 2, 3, 59)]
    assert engagement(five) == "passive"
    assert engagement(five[:4]) == "quiet"
    assert engagement([*five[:4], message(60)]) == "quiet"
    assert engagement([*five[:4], message(4, message_class="service")]) == "quiet"
    assert engagement(five, [reaction(five[4], "opened", 45)]) == "quiet"
    old = message(80)
    assert engagement([*five, old], [reaction(old, "opened", 60)]) == "passive"


def pressure(messages=(), policy=(), **parts):
    row = row_of("pressure_status", messages=messages, contact_policy=[PolicyRow(*row) for row in policy], **parts)
    return (row["segment"], row["policy_segment"])


def test_ten_contacts_without_an_answer():
    ten = [message(age) for age in (0, 1, 2, 3, 4, 5, 6, 7, 8, 59)]
    assert pressure(ten) == ("fatigued", "fatigued")
    assert pressure(ten[:9])[1] == "default"
    assert pressure([*ten[:9], message(60)])[1] == "default"
    assert pressure([*ten[:9], message(9, "sms")])[1] == "default"  # reports no reactions
    assert pressure([*ten[:9], message(9, message_class="service")])[1] == "default"


@pytest.mark.parametrize(("text", "is_tired"), [("12:00", True), ("12:00:00.000001", False)])
def test_an_answer_after_a_contact(text, is_tired):
    ten = [message(age) for age in (0, 1, 2, 3, 4, 5, 6, 7, 8, 59)]
    for parts in (
        {"events": [event(59, text=text)]},
        {"orders": [order(59, text=text)]},
        {"message_events": [reaction(message(80, message_id=ten[9]["message_id"]), "read", 59, text)]},
    ):
        assert (pressure(ten, **parts)[1] == "fatigued") == is_tired
    # the end of a visit is its last visiting event
    visit = [event(59, text="11:45"), event(59, text=text)]
    assert (pressure(ten, events=visit)[1] == "fatigued") == is_tired
    assert pressure(ten, events=[event(0, "Application Installed", "18:00")])[1] == "fatigued"


@pytest.mark.parametrize("name", ["complained", "unsubscribed"])
def test_a_complaint_tires(name):
    sent = message(95)
    for age, segment in ((89, "fatigued"), (90, "default"), (-1, "default")):
        assert pressure([sent], message_events=[reaction(sent, name, age)])[1] == segment


def test_policy_segments():
    # plan_date − 7 days is 6 days before as_of
    assert pressure(orders=[order(6)])[1] == "recent_buyer"
    assert pressure(orders=[order(7)])[1] == "default"
    assert pressure(events=[event(31), event(40)])[1] == "dormant"
    assert pressure(events=[event(3)])[1] == "new"
    assert pressure(events=[event(20)])[1] == "one_time"
    assert pressure(events=[event(20), event(3)])[1] == "engaged"
    assert pressure(events=[event(20), event(3)], orders=[order(1)])[1] == "recent_buyer"


def test_pressure_status():
    three = [message(age) for age in (0, 6, 7)]
    for most, segment in ((1, "over_cap"), (2, "at_cap"), (3, "near_cap"), (4, "healthy"), (0, "healthy")):
        assert pressure(three, [("*", "all", 7, most)])[0] == segment
    assert pressure(three, [("*", "all", 7, 4), ("*", "email", 8, 3)])[0] == "at_cap"
    assert pressure(three, [("*", "sms", 8, 1)])[0] == "healthy"
    assert pressure(three, [("engaged", "all", 8, 1)])[0] == "healthy"
    assert pressure(three, [("default", "all", 8, 1)])[0] == "over_cap"
    # 3 of 5 is 0.6
    assert pressure(three, [("*", "all", 8, 5)])[0] == "near_cap"
    assert pressure([message(29)])[0] == "healthy"
    assert pressure([message(30)])[0] == "rested"
    assert pressure([message(30)], [("*", "all", 31, 1)])[0] == "at_cap"


def plan(age=30, **values):
    return {"subscription_id": f"c{age}", "user_id": "u", "started_at": ago(age), **values}


def subscription(*rows, visits=()):
    return segment_of("subscription", subscriptions=rows, events=[event(age) for age in visits])


def test_subscription():
    assert subscription() == "none"
    assert subscription(plan(-1)) == "none"
    assert subscription(plan(0)) == "active"
    assert subscription(plan(ended_at=ago(0, "23:59"))) == "ended"
    assert subscription(plan(ended_at=ago(-1, "00:00"))) == "active"
    assert subscription(plan(ended_at=ago(1)), plan(5)) == "active"


@pytest.mark.parametrize(
    ("ahead", "segment"), [(-1, "active"), (0, "renewal_risk"), (30, "renewal_risk"), (31, "active")]
)
def test_renewal_risk(ahead, segment):
    row = plan(renews_at=ago(-ahead))
    assert subscription({**row, "auto_renew": False}) == segment
    assert subscription({**row, "cancel_requested_at": ago(0)}) == segment
    assert subscription({**row, "auto_renew": True}) == "active"
    assert subscription(row) == "active"
    assert subscription({**row, "cancel_requested_at": ago(-1)}) == "active"
    assert subscription({**row, "auto_renew": False, "ended_at": ago(3)}) == "ended"
    assert subscription({**row, "auto_renew": False}, plan(2)) == segment


def test_falling_visits():
    row = plan(renews_at=ago(-60))
    assert subscription(row, visits=(28, 30, 40, 55)) == "renewal_risk"
    assert subscription(row, visits=(28, 30, 40, 56)) == "active"
    assert subscription(row, visits=(27, 30, 40, 55)) == "active"
    assert subscription(row, visits=(28, 30, 40, 55, 0, 27)) == "renewal_risk"
    assert subscription(row, visits=(28, 30, 40, 55, 0, 1, 27)) == "active"
    assert subscription(plan(renews_at=ago(-61)), visits=(28, 30, 40, 55)) == "active"


def person(user="u", **values):
    return {"user_id": user, **values}


def channels(user="u", **parts):
    row = row_of("reachability", user, **parts)
    return (row["segment"], row["channels"])


def test_reachability():
    assert channels() == ("in_app_only", "in_app")
    assert channels(consents=[consent("withdrawn", channel="in_app")]) == ("unreachable", None)
    users = [person(email="U@example.org", phone="+33612345678")]
    assert channels(users=users) == ("in_app_only", "in_app")
    assert channels(users=users, consents=[consent()]) == ("multi_channel", "email|in_app")
    grants = [consent(channel=channel) for channel in ("email", "sms", "push")]
    assert channels(users=users, consents=grants) == ("multi_channel", "email|in_app|sms")
    assert channels(users=[person(email="none")], consents=grants) == ("in_app_only", "in_app")
    no_app = [*grants, consent("withdrawn", channel="in_app")]
    assert channels(users=[person(email="u@example.org")], consents=no_app) == ("email_only", "email")


@pytest.mark.parametrize(
    ("consents", "is_reachable"),
    [
        ([consent(age=5), consent("withdrawn", age=4)], False),
        ([consent(age=4), consent("withdrawn", age=5)], True),
        ([consent(age=4), consent("withdrawn", age=4)], False),
        ([consent(age=4), consent("withdrawn", age=-1)], True),
        ([consent(age=-1)], False),
    ],
)
def test_the_last_word_holds(consents, is_reachable):
    found = channels(users=[person(email="u@example.org")], consents=consents)[1]
    assert ("email" in found) == is_reachable


def reach(*events, grants=None, **values):
    sent = message(40, message_id="m")
    rows = [{**reaction(sent, name, age), **more} for name, age, more in events]
    parts = {"users": [person(email="u@example.org")], "messages": [sent], "message_events": rows, **values}
    return "email" in channels(consents=[consent(age=50)] if grants is None else grants, **parts)[1]


def test_suppression():
    assert reach()
    assert not reach(("complained", 3, {}))
    assert not reach(("complained", 3, {}), grants=[consent(age=1)])
    assert not reach(("unsubscribed", 3, {}))
    assert reach(("unsubscribed", 3, {}), grants=[consent(age=2)])
    assert not reach(("bounced", 3, {"bounce_type": "hard"}), grants=[consent(age=1)])
    assert reach(("bounced", 3, {"bounce_type": "soft"}))
    moved = [person(email="old@example.org", created_at=ago(99)), person(email="u@example.org", updated_at=ago(5))]
    assert reach(("bounced", 3, {"bounce_type": "hard"}), users=moved)
    assert not reach(("complained", 3, {}), users=moved)


def test_a_person_is_an_address():
    users = [person(email="u@example.org"), person("v", email="U@Example.org"), person("w", email="w@example.org")]
    grants = [consent(age=50, user=user) for user in "uvw"]
    sent = message(40, user_id="v")

    def reachable(*events, consents=()):
        parts = {"users": users, "messages": [sent], "message_events": events, "consents": [*grants, *consents]}
        return {user for user in "uvw" if "email" in channels(user, **parts)[1]}

    assert reachable() == {"u", "v", "w"}
    assert reachable(reaction(sent, "complained", 3)) == {"w"}
    assert reachable(reaction(sent, "bounced", 3, bounce_type="hard")) == {"w"}
    assert reachable(consents=[consent("withdrawn", user="v")]) == {"w"}
    assert reachable(consents=[consent("withdrawn", user="w")]) == {"u", "v"}
    # a later grant lifts a no for who gave the grant, not for the others
    assert reachable(consents=[consent("withdrawn", 9, user="v"), consent(age=3, user="v")]) == {"v", "w"}
    assert reachable(consents=[consent("withdrawn", 9, user="v"), consent(age=3, user="u")]) == {"u", "w"}
    assert reachable(reaction(sent, "unsubscribed", 3)) == {"w"}
    assert reachable(reaction(sent, "unsubscribed", 3), consents=[consent(age=2, user="v")]) == {"v", "w"}


def test_an_uninstall_ends_push_until_a_newer_row():
    token = {"user_id": "u", "channel": "push", "address": "t", "status": "active", "updated_at": ago(9)}
    uninstall = event(5, "Application Uninstalled")
    parts = {"users": [person()], "consents": [consent(channel="push")]}
    assert channels(**parts, addresses=[token])[1] == "in_app|push"
    assert channels(**parts, addresses=[token], events=[uninstall])[1] == "in_app"
    assert channels(**parts, addresses=[{**token, "channel": "web_push"}], events=[uninstall])[1] == "in_app"
    newer = {**token, "updated_at": ago(4)}
    assert channels(**parts, addresses=[token, newer], events=[uninstall])[1] == "in_app|push"
    assert channels(**parts, addresses=[token, {**newer, "status": "invalid"}])[1] == "in_app"
    # to come: known from then on
    assert channels(**parts, addresses=[token, {**token, "updated_at": ago(-1)}], events=[uninstall])[1] == "in_app"
