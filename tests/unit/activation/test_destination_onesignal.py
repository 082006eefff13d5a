"""OneSignal: a call a user, tags as text, who is unknown there, and the rate of a user."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from orchestration.activation.destinations.interface import REJECTED, UNKNOWN, NotTaken, WrongSettings
from orchestration.activation.destinations.onesignal import OneSignal
from tests.standins.contracts import against, all_against, need
from tests.standins.onesignal import APP, KEY, OneSignalStandIn
from tests.standins.server import Answer, Faults
from tests.standins.trial import (
    PATIENCE,
    PLAN,
    SEGMENTS,
    all_accepted,
    ask,
    asked,
    gone,
    made,
    row,
    statuses,
    unlimited,
)

AUTHORIZED = {"Authorization": f"Key {KEY}"}
PATH = f"/apps/{APP}/users/by/external_id/u1"


@pytest.fixture
def onesignal() -> Iterator[OneSignalStandIn]:
    with OneSignalStandIn(speed=10**9) as stand_in:
        yield stand_in
    assert stand_in.problems == []


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited(OneSignal, monkeypatch)


def test_tags_are_set_changed_unset_and_removed(onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(OneSignal, onesignal, monkeypatch)
    names = ("vip_variant", "headroom", "share", "is_new")
    rows = [
        row("u1", vip_variant="a", headroom=2, share=0.5, is_new=False),
        row("ü/2 ?#%2F@é", vip_variant=None, headroom=0, share=None, is_new=True),
    ]
    assert all_accepted(to.set(PLAN, rows))
    assert onesignal.state(PLAN, names) == {
        "u1": {"vip_variant": "a", "headroom": 2, "share": 0.5, "is_new": False},
        "ü/2 ?#%2F@é": {"headroom": 0, "is_new": True},
    }
    assert onesignal.users["u1"] == {"vip_variant": "a", "headroom": "2", "share": "0.5", "is_new": "false"}
    assert all_accepted(to.set(PLAN, [row("u1", vip_variant="b", headroom=None)]))
    assert onesignal.state(PLAN, names)["u1"] == {"vip_variant": "b", "share": 0.5, "is_new": False}

    assert all_accepted(to.remove(PLAN, [gone(one) for one in rows]))
    assert onesignal.state(PLAN, names) == {}
    assert all_accepted(to.set(PLAN, [row("u1")])), "nothing to say"
    assert all_against(onesignal) == [] and len(onesignal.requests) == 5


def test_whom_onesignal_does_not_know_is_tried_again_and_is_out_already(
    onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    onesignal.known = {"u1"}
    to = made(OneSignal, onesignal, monkeypatch)
    outcomes = to.set(SEGMENTS, [row("u1", a=1), row("u2", a=1)])
    assert statuses(outcomes) == {"u1": "accepted", "u2": REJECTED}
    assert (outcomes["u2"].code, outcomes["u2"].is_permanent) == ("unknown_user", False)
    assert all_accepted(to.remove(SEGMENTS, [gone(row("u1", a=1)), gone(row("u2", a=1))]))
    assert onesignal.users == {"u1": {}}


def test_errors_have_the_code_of_their_row(onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    onesignal.faults, onesignal.tag_limit = Faults(bad_keys=frozenset({"u2"})), 2
    to = made(OneSignal, onesignal, monkeypatch)
    outcomes = to.set(SEGMENTS, [row("u1", a=1, b=1, c=1), row("u2", a=1), row("u3", a=1)])
    found = {key: (one.status, one.code, one.is_permanent) for key, one in outcomes.items()}
    assert found == {
        "u1": (REJECTED, "entitlements-tag-limit", False),
        "u2": (REJECTED, "invalid-tags", True),
        "u3": ("accepted", "", False),
    }
    onesignal.faults = Faults(row_share=1.0)
    outcome = to.set(SEGMENTS, [row("u3", a=2)])["u3"]
    assert (outcome.status, outcome.code, outcome.is_permanent) == (REJECTED, "conflict", False)


def test_an_answer_is_read_before_it_is_taken_for_done(
    onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = made(OneSignal, onesignal, monkeypatch)
    for answer, code in [
        (Answer(409, {}), "http_409"),
        (Answer(202, {"errors": [{"title": "u1@example.com is wrong"}]}), "http_202"),
        (Answer(202, {"errors": ["u1@example.com is wrong"]}), "http_202"),
    ]:
        monkeypatch.setattr(onesignal, "answer", lambda request, answer=answer: answer)
        outcome = to.set(SEGMENTS, [row("u1", a=1)])["u1"]
        assert (outcome.status, outcome.code, outcome.is_permanent) == (REJECTED, code, False)
    monkeypatch.setattr(onesignal, "answer", lambda request: Answer(202))
    assert statuses(to.set(SEGMENTS, [row("u1", a=1)])) == {"u1": UNKNOWN}


def test_lost_answers_are_never_taken_for_done(onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(OneSignal, onesignal, monkeypatch)
    rows = [row(f"u{number}", a=number) for number in range(5)]
    onesignal.faults = Faults(stops_after=2)
    expected = {"u0": "accepted", "u1": "accepted", "u2": UNKNOWN, "u3": UNKNOWN, "u4": UNKNOWN}
    assert statuses(to.set(SEGMENTS, rows)) == expected
    onesignal.faults = Faults(stops_after=0)
    assert statuses(to.remove(SEGMENTS, rows[:2])) == {"u0": UNKNOWN, "u1": UNKNOWN}
    onesignal.faults = Faults(share=1.0, kinds=("busy",))
    with pytest.raises(NotTaken):
        to.set(SEGMENTS, rows)
    onesignal.faults = Faults(seed=3, share=0.3, row_share=0.1)
    while not all_accepted(to.set(SEGMENTS, rows)):
        pass
    assert onesignal.state(SEGMENTS, ["a"]) == {f"u{number}": {"a": number} for number in range(5)}


def test_nothing_that_is_logged_names_a_user_or_the_key(
    onesignal: OneSignalStandIn,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = made(OneSignal, onesignal, monkeypatch)
    onesignal.faults = Faults(seed=1, share=0.7, row_share=0.2)
    with caplog.at_level("DEBUG"):
        for _ in range(10):
            to.set(SEGMENTS, [row("somebody", a="a-value")])
        logging.getLogger("control").warning("it is heard")
    logged = caplog.text + "".join(capsys.readouterr())
    assert "it is heard" in logged
    assert not [word for word in ("somebody", "a-value", KEY) if word in logged]


def test_retry_after_is_obeyed(onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(OneSignal, onesignal, monkeypatch)
    onesignal.faults = Faults(pause=0.15)
    onesignal.faults.next = lambda: "busy" if len(onesignal.requests) == 1 else None  # type: ignore[method-assign]
    assert all_accepted(to.set(SEGMENTS, [row("u1", a=1), row("u2", a=1)]))
    assert onesignal.requests[1].at - onesignal.requests[0].at >= 0.14


def test_wrong_settings_say_what_to_do_and_no_secret(
    onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(OneSignal, onesignal, monkeypatch)
    monkeypatch.setenv("ONESIGNAL_KEY", "another-secret")
    to = OneSignal("crm", onesignal.options(), PATIENCE)
    with pytest.raises(WrongSettings) as error:
        to.set(SEGMENTS, [row("u1", a=1)])
    assert "another-secret" not in f"{error.value!r} {error.value} {to!r} {vars(to)}"
    onesignal.problems.clear()


def test_names_options_and_values_are_checked(onesignal: OneSignalStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = OneSignal.check({"app": "my app", "tag_limit": 2}, {"vip": ["user", "a"], "new": ["a", "b"]})
    assert [problem.path for problem in problems] == [
        ("options", "app"),
        ("attributes", "vip", "user"),
        ("options", "tag_limit"),
    ]
    assert OneSignal.check({"app": APP, "tag_limit": 2}, {"vip": ["a"], "new": ["a", "b"]}) == []
    assert [problem.path for problem in OneSignal.check({"app": APP, "tag_limit": "2"}, {})] == [
        ("options", "tag_limit")
    ]
    to = made(OneSignal, onesignal, monkeypatch)
    assert to.refuse(PLAN, row("u1", a="")) == "empty_text:a"
    assert to.refuse(PLAN, row("u1", a=float("nan"))) == "no_number:a"
    assert to.refuse(PLAN, row("..", a=1)) == "key_is_no_part_of_an_address"
    assert to.refuse(PLAN, row("u1", a="x", b=None, c=0, d=False)) is None


@pytest.mark.parametrize(
    ("body", "headers", "status", "is_in_contract"),
    [
        ({"properties": {"tags": ["a"]}}, AUTHORIZED, 400, False),
        ({"properties": {"tags": {"a": "1"}}}, {}, 403, False),
        # the contract takes tags of any type, and whatever else a user may have
        ({"properties": {"tags": {"a": 1}}}, AUTHORIZED, 400, True),
        ({"properties": {"tags": {}}, "subscriptions": [{"type": "Email", "enabled": True}]}, AUTHORIZED, 400, True),
    ],
    ids=["type", "header", "number", "subscription"],
)
def test_wrong_calls_fail_at_the_stand_in_and_by_the_contract_where_it_can_tell(
    body: object, headers: dict[str, str], status: int, is_in_contract: bool
) -> None:
    call = asked("PATCH", PATH, body, **headers)
    with OneSignalStandIn() as onesignal:
        assert ask(onesignal, call) == status and onesignal.problems
        in_contract = onesignal.in_contract(call)
    assert in_contract is not None
    assert (against(need(OneSignalStandIn.contract), in_contract, OneSignalStandIn.server) is None) == is_in_contract


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", PATH), ("POST", f"{PATH}/subscriptions"), ("PATCH", f"{PATH}/2")]
)
def test_the_stand_in_names_calls_that_no_sync_makes(method: str, path: str) -> None:
    with OneSignalStandIn() as onesignal:
        ask(onesignal, asked(method, path, {}, **AUTHORIZED))
    assert onesignal.problems


def test_the_rates_of_the_app_and_of_a_user_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneSignal, "rates", {"app": ((9, 0.15),), "user": ((1, 0.15),)})
    with OneSignalStandIn() as onesignal:
        onesignal.windows = {"app": ((10, 0.15),), "user": ((1, 0.12),)}
        to = made(OneSignal, onesignal, monkeypatch)
        onesignal.faults.next = lambda: "cut_after" if len(onesignal.requests) == 1 else None  # type: ignore[method-assign]
        for number in range(3):
            assert all_accepted(to.set(SEGMENTS, [row("u1", a=number)]))
        assert all_accepted(to.set(SEGMENTS, [row(f"u{number}", a=1) for number in range(2, 20)]))
    assert len(to._turns._next) <= 12, "it forgets whose turn has come"
    assert onesignal.problems == []
    with OneSignalStandIn() as onesignal:
        for _ in range(2):
            ask(onesignal, asked("PATCH", PATH, {"properties": {"tags": {"a": "1"}}}, **AUTHORIZED))
    assert onesignal.problems == ["user: 2 calls in 1.0 s, 1 is allowed"]
