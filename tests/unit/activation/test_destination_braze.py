"""Braze: only what changed is sent, errors without a row are found by halving, and no event is sent twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest

from orchestration.activation.destinations.braze import Braze
from orchestration.activation.destinations.interface import (
    ACCEPTED,
    PENDING,
    REJECTED,
    UNKNOWN,
    LostAnswer,
    NotTaken,
    Outcome,
    Refused,
    Row,
    Target,
    WrongSettings,
)
from tests.standins.braze import KEY, BrazeStandIn
from tests.standins.contracts import against, all_against, need
from tests.standins.server import Answer, Faults, Request
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

WITH_EVENT = Target("vip", "2026-06-11", {"event": "planned_contact"})
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
def braze() -> Iterator[BrazeStandIn]:
    with BrazeStandIn(speed=1000) as stand_in:
        yield stand_in
    assert stand_in.problems == []


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited(Braze, monkeypatch)


def due(*keys: str) -> list[Row]:
    return [replace(row(key, vip_variant="a"), once=f"once-{key}") for key in keys]


def sent(braze: BrazeStandIn) -> list[str]:
    return [event["external_id"] for event in braze.events]


def halved(to: Braze, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
    """Say rows as the engine does: halves of what is refused as a whole."""
    try:
        return to.set(target, rows)
    except Refused as error:
        if len(rows) == 1:
            return {rows[0].key: Outcome(REJECTED, error.code)}
        half = len(rows) // 2
        return {**halved(to, target, rows[:half]), **halved(to, target, rows[half:])}


def test_attributes_are_set_changed_unset_and_removed(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Braze, braze, monkeypatch)
    names = ("vip_variant", "headroom", "next_eligible_date")
    rows = [
        row("u1", vip_variant="a", headroom=2, next_eligible_date="2026-07-01"),
        row("ü/2", vip_variant=None, headroom=0.5, next_eligible_date=None),
    ]
    assert all_accepted(to.set(PLAN, rows))
    assert braze.state(PLAN, names) == {
        "u1": {"vip_variant": "a", "headroom": 2, "next_eligible_date": "2026-07-01"},
        "ü/2": {"headroom": 0.5},
    }
    assert all_accepted(to.set(PLAN, [row("u1", vip_variant=None, headroom=3)]))
    assert braze.state(PLAN, names)["u1"] == {"headroom": 3, "next_eligible_date": "2026-07-01"}

    assert all_accepted(to.remove(PLAN, [gone(one) for one in [*rows, row("nobody", headroom=1)]]))
    assert braze.state(PLAN, names) == {}
    assert "nobody" not in braze.profiles, "a removal makes no profile"
    assert all_against(braze) == []


def test_only_what_changed_is_sent(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Braze, braze, monkeypatch)
    rows = [
        replace(row("u1", a=1, b=2), changed=frozenset({"b"})),
        replace(row("u2", a=1, b=2), changed=frozenset()),
        replace(row("u3", a=1, b=None), changed=None),
    ]
    assert all_accepted(to.set(SEGMENTS, rows))
    assert braze.requests[0].json == {
        "attributes": [{"external_id": "u1", "b": 2}, {"external_id": "u3", "a": 1, "b": None}]
    }
    assert all_accepted(to.set(SEGMENTS, rows[1:2])) and len(braze.requests) == 1


@pytest.mark.parametrize("says_row", [True, False], ids=["with_row", "without_row"])
def test_errors_are_brought_to_their_rows(says_row: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(f"u{number}", a=number) for number in range(6)]
    with BrazeStandIn(Faults(bad_keys=frozenset({"u1", "u4"})), 1000, says_row) as braze:
        to = made(Braze, braze, monkeypatch)
        outcomes = halved(to, SEGMENTS, rows)
        refused = {key: one for key, one in outcomes.items() if one.status == REJECTED}
        assert {key: (one.code, one.is_permanent) for key, one in refused.items()} == {
            "u1": ("value_invalid", True),
            "u4": ("value_invalid", True),
        }
        assert set(braze.state(SEGMENTS, ["a"])) == {"u0", "u2", "u3", "u5"} == set(outcomes) - set(refused)
        braze.faults = Faults(row_share=1.0)
        outcome = halved(to, SEGMENTS, rows)["u0"]
        assert (outcome.status, outcome.code, outcome.is_permanent) == (REJECTED, "refused", False)
    assert braze.problems == []


def test_an_event_is_sent_once_after_the_attributes(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Braze, braze, monkeypatch)
    assert all_accepted(to.set(WITH_EVENT, [*due("u1", "u2"), row("u3", vip_variant="b")]))
    assert [(event["external_id"], event["name"], event["properties"]) for event in braze.events] == [
        (key, "planned_contact", {"variant": "a", "audience": "vip", "plan_date": "2026-06-11"}) for key in ("u1", "u2")
    ]
    assert [list(call.json) for call in braze.requests] == [["attributes"], ["events"]]
    assert all_accepted(to.set(PLAN, due("u4"))), "no event is asked for"
    assert all_accepted(to.set(WITH_EVENT, [replace(due("u5")[0], changed=frozenset())])), "only the event is new"
    assert sent(braze) == ["u1", "u2", "u5"]
    assert all_against(braze) == []


@pytest.mark.parametrize("fault", ["cut_before", "cut_after", "error_before", "error_after", "away"])
def test_a_lost_answer_to_an_event_is_not_tried_again(
    fault: str, braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = made(Braze, braze, monkeypatch)
    braze.faults = Faults(kinds=(fault,))
    braze.faults.next = lambda: fault if len(braze.requests) == 2 else None  # type: ignore[method-assign]
    outcomes = to.set(WITH_EVENT, [*due("u1", "u2"), row("u3", vip_variant="b")])
    assert statuses(outcomes) == {"u1": UNKNOWN, "u2": UNKNOWN, "u3": ACCEPTED}
    assert len(braze.requests) == 2
    assert len(sent(braze)) == (2 if fault.endswith("after") else 0)


def test_an_event_that_was_certainly_not_taken_is_still_to_be_sent(
    braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = made(Braze, braze, monkeypatch)
    braze.faults = Faults(pause=0.01)
    braze.faults.next = lambda: "busy" if len(braze.requests) > 1 else None  # type: ignore[method-assign]
    assert statuses(to.set(WITH_EVENT, due("u1"))) == {"u1": PENDING}, "too busy for the event"
    braze.faults = Faults(stops_after=0)
    assert statuses(to.set(WITH_EVENT, [*due("u1"), row("u2", vip_variant="a")])) == {"u1": PENDING, "u2": UNKNOWN}
    with pytest.raises(LostAnswer):
        to.set(WITH_EVENT, [row("u2", vip_variant="a")])
    braze.faults = Faults(bad_keys=frozenset({"u1"}))
    assert statuses(to.set(WITH_EVENT, due("u1"))) == {"u1": REJECTED}, "and whose attributes are refused gets none"
    braze.faults = Faults()
    assert all_accepted(to.set(WITH_EVENT, due("u1"))) and sent(braze) == ["u1"]


@pytest.mark.parametrize(
    ("says_row", "expected"),
    [(True, {"u1": ACCEPTED, "u2": REJECTED, "u3": ACCEPTED}), (False, {"u1": UNKNOWN, "u2": UNKNOWN, "u3": UNKNOWN})],
)
def test_an_event_that_is_refused_is_told_as_far_as_braze_tells(
    says_row: bool, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with BrazeStandIn(speed=1000, says_row=says_row, bad_events=frozenset({"u2"})) as braze:
        to = made(Braze, braze, monkeypatch)
        assert statuses(to.set(WITH_EVENT, due("u1", "u2", "u3"))) == expected
        assert statuses(to.set(WITH_EVENT, due("u2"))) == {"u2": REJECTED}
        assert sent(braze) == ["u1", "u3"], "others are not sent again for it"


def test_events_that_are_refused_as_a_whole_are_sent_by_halves_and_still_once(
    braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    braze.bad_events = frozenset({"u3"})
    take = braze.answer

    def answer(request: Request) -> Answer:
        is_refused = len(request.json.get("events", ())) > 2
        return Answer(400, {"message": "fatal"}) if is_refused else take(request)

    monkeypatch.setattr(braze, "answer", answer)
    to = made(Braze, braze, monkeypatch)
    outcomes = statuses(to.set(WITH_EVENT, due("u0", "u1", "u2", "u3", "u4")))
    assert sent(braze) == ["u0", "u1", "u2", "u4"]
    assert outcomes == {"u0": ACCEPTED, "u1": ACCEPTED, "u2": ACCEPTED, "u3": UNKNOWN, "u4": UNKNOWN}


def test_a_call_that_is_only_queued_is_not_done(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Braze, braze, monkeypatch)
    monkeypatch.setattr(braze, "answer", lambda request: Answer(202, {"message": "queued"}))
    assert statuses(to.set(SEGMENTS, [row("u1", a=1)])) == {"u1": UNKNOWN}
    assert statuses(to.set(WITH_EVENT, due("u1"))) == {"u1": PENDING}, "its event waits"
    monkeypatch.setattr(braze, "answer", lambda request: Answer(201, ["success"]))
    with pytest.raises(LostAnswer):
        to.set(SEGMENTS, [row("u1", a=1)])


def test_the_time_that_braze_names_is_waited_for(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Braze, braze, monkeypatch)
    braze.faults = Faults(pause=0.15)
    braze.faults.next = lambda: "busy" if len(braze.requests) == 1 else None  # type: ignore[method-assign]
    assert all_accepted(to.set(SEGMENTS, [row("u1", a=1)]))
    first, second = braze.requests
    assert second.at - first.at >= 0.14
    braze.faults = Faults(share=1.0, kinds=("busy",), pause=60)
    with pytest.raises(NotTaken):
        to.set(SEGMENTS, [row("u1", a=1)])


def test_wrong_settings_say_what_to_do_and_no_secret(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Braze, braze, monkeypatch)
    monkeypatch.setenv("BRAZE_KEY", "another-secret")
    with pytest.raises(WrongSettings) as error:
        Braze("crm", braze.options(), PATIENCE).set(SEGMENTS, [row("u1", a=1)])
    shown = f"{error.value!r} {error.value} {to!r} {vars(to)}"
    assert "another-secret" not in shown and KEY not in shown
    braze.problems.clear()


def test_whom_the_app_has_not_met_gets_a_profile_unless_told_otherwise(
    braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all_accepted(made(Braze, braze, monkeypatch).set(SEGMENTS, [row("u1", a=1)]))
    to = made(Braze, braze, monkeypatch, update_existing_only="true")
    assert all_accepted(to.set(SEGMENTS, [row("u1", a=2), row("u2", a=2)]))
    assert braze.state(SEGMENTS, ["a"]) == {"u1": {"a": 2}}


def test_names_options_and_values_are_checked(braze: BrazeStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    problems = Braze.check(
        {"rows": 76, "update_existing_only": "perhaps"},
        {"vip": ["email_subscribe", "subscription_groups", "_update_existing_only", "x" * 256, "email", ""]},
    )
    assert [problem.path[-1] for problem in problems] == [
        "rows",
        "update_existing_only",
        "email_subscribe",
        "subscription_groups",
        "_update_existing_only",
        "x" * 256,
        "email",
        "",
    ]
    assert Braze.check({"rows": 50}, {"vip": ["vip_variant", "email_headroom", "x" * 255]}) == []
    to = made(Braze, braze, monkeypatch, rows=50)
    assert to.limits.rows == 50
    assert to.refuse(PLAN, row("u1", a="x" * 256)) == "text_too_long:a"
    assert to.refuse(PLAN, row("u1", a=float("inf"))) == "no_number:a"
    assert to.refuse(PLAN, row("u1", a="x" * 255, b=None, c=1.5, d=True)) is None


def test_wrong_types_fail_by_the_contract_and_at_the_stand_in() -> None:
    call = asked("POST", "/users/track", {"attributes": {"external_id": "u1"}}, **AUTHORIZED)
    with BrazeStandIn() as braze:
        assert ask(braze, call) == 400 and braze.problems
    assert against(need(BrazeStandIn.contract), call, BrazeStandIn.server)


@pytest.mark.parametrize(
    ("body", "headers", "status", "is_in_contract"),
    [
        # the contract takes any number of rows and any object
        ({"attributes": [{"external_id": f"u{number}"} for number in range(76)]}, AUTHORIZED, 400, True),
        ({"attributes": [{"external_id": 7}]}, AUTHORIZED, 400, True),
        ({"attributes": [{"external_id": "u1", "email_subscribe": "opted_in"}]}, AUTHORIZED, 201, True),
        ({"events": [{"external_id": "u1", "name": "no time"}]}, AUTHORIZED, 400, True),
        ({"attributes": [{"external_id": "u1"}]}, {}, 401, False),
    ],
    ids=["rows", "key", "consent", "event", "header"],
)
def test_the_stand_in_is_stricter_than_the_contract(
    body: object, headers: dict[str, str], status: int, is_in_contract: bool
) -> None:
    call = asked("POST", "/users/track", body, **headers)
    with BrazeStandIn() as braze:
        assert ask(braze, call) == status and braze.problems
    assert (against(need(BrazeStandIn.contract), call, BrazeStandIn.server) is None) == is_in_contract


@pytest.mark.parametrize("path", ["/users/delete", "/v2/subscription/status/set", "/email/status"])
def test_the_stand_in_names_calls_that_no_sync_makes(path: str) -> None:
    with BrazeStandIn() as braze:
        ask(braze, asked("POST", path, {}, **AUTHORIZED))
    assert braze.problems


def test_rates_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(Braze, "rates", {"track": ((9, 0.15),)})
    with BrazeStandIn() as braze:
        braze.windows = {"track": ((10, 0.15),)}
        to = made(Braze, braze, monkeypatch)
        for number in range(20):
            assert all_accepted(to.set(SEGMENTS, [row(f"u{number}", a=1)]))
    assert braze.problems == []
    with BrazeStandIn() as braze:
        braze.windows = {"track": ((10, 60.0),)}
        for _ in range(11):
            braze.count("track")
    assert braze.problems == ["track: 11 in 60.0 s, 10 are allowed"]
