"""Batch: attributes and audiences, errors by their index, what it drops silently, and its rates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from orchestration.activation.destinations.batch import Batch
from orchestration.activation.destinations.interface import (
    PENDING,
    REJECTED,
    UNKNOWN,
    LostAnswer,
    NotTaken,
    Refused,
    Target,
    WrongSettings,
)
from tests.standins.batch import KEY, PROJECT, BatchStandIn
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
    hurry,
    made,
    row,
    statuses,
    unlimited,
)

HEADERS = {"Authorization": f"Bearer {KEY}", "X_Batch_Project": PROJECT}
NAMES = ("vip_plan_date", "vip_variant", "headroom")
PROFILE = {"identifiers": {"custom_id": "u1"}, "attributes": {"headroom": 1}}


@pytest.fixture
def batch() -> Iterator[BatchStandIn]:
    with BatchStandIn(speed=5000) as stand_in:
        yield stand_in
    assert stand_in.problems == []


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    unlimited(Batch, monkeypatch)


def test_a_list_is_set_changed_unset_and_removed(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch)
    to.prepare(PLAN)
    to.prepare(PLAN)
    rows = [
        row("u1", vip_plan_date="2026-06-11", vip_variant="a", headroom=2),
        row("ü/2", vip_plan_date="2026-06-11", vip_variant=None, headroom=0.5),
    ]
    assert all_accepted(to.set(PLAN, rows))
    assert batch.state(PLAN, NAMES) == {
        "u1": {"vip_plan_date": "2026-06-11", "vip_variant": "a", "headroom": 2},
        "ü/2": {"vip_plan_date": "2026-06-11", "headroom": 0.5},
    }
    assert batch.profiles["u1"]["date(vip_plan_date)"] == "2026-06-11T00:00:00Z", "dates are dates at Batch"

    assert all_accepted(to.set(PLAN, [row("u1", vip_plan_date=None, vip_variant="b", headroom=None)]))
    assert batch.state(PLAN, NAMES)["u1"] == {"vip_variant": "b"}

    assert all_accepted(to.remove(PLAN, [gone(one) for one in [*rows, row("nobody", vip_variant="a")]]))
    assert batch.state(PLAN, NAMES) == {}
    assert len([call for call in batch.requests if call.path == "/audiences/create"]) == 1
    assert all_against(batch) == []


def test_segments_are_attributes_alone(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch)
    to.prepare(SEGMENTS)
    rows = [row("u1", headroom=2, next_eligible_date="2026-07-01", is_new=True)]
    assert all_accepted(to.set(SEGMENTS, rows))
    names = ("headroom", "next_eligible_date", "is_new")
    assert batch.state(SEGMENTS, names) == {"u1": {"headroom": 2, "next_eligible_date": "2026-07-01", "is_new": True}}
    assert all_accepted(to.remove(SEGMENTS, [gone(one) for one in rows]))
    assert batch.state(SEGMENTS, names) == {}
    assert {call.path for call in batch.requests} == {"/profiles/update"}


def test_large_batches_go_by_mass_update_and_small_ones_200_a_call(
    batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = made(Batch, batch, monkeypatch, mass_update_from=500)
    rows = [row(f"u{number}", headroom=number) for number in range(500)]
    assert all_accepted(to.set(SEGMENTS, rows[:450])) and all_accepted(to.set(SEGMENTS, rows))
    assert [(call.path, len(call.json)) for call in batch.requests] == [
        ("/profiles/update", 200),
        ("/profiles/update", 200),
        ("/profiles/update", 50),
        ("/profiles/mass-update", 500),
    ]
    assert len(batch.state(SEGMENTS, ["headroom"])) == 500
    assert all_against(batch) == []


def test_an_audience_counts_only_when_it_is_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchStandIn(speed=5000, looks=3) as batch:
        to = made(Batch, batch, monkeypatch)
        to.prepare(PLAN)
        assert all_accepted(to.set(PLAN, [row("u1", headroom=1)]))
        assert batch.jobs == [] and batch.audiences["vip"] == {"u1"}
        batch.looks = 10**9
        hasty = made(Batch, batch, monkeypatch, patience=replace(PATIENCE, longest_job=0.05))
        assert statuses(hasty.set(PLAN, [row("u2", headroom=1)])) == {"u2": UNKNOWN}
        with pytest.raises(LostAnswer):
            hasty.remove(PLAN, [gone(row("u1", headroom=1))])
    assert batch.problems == []


def test_a_change_that_nobody_saw_applied_is_not_done(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch)
    to.prepare(PLAN)
    is_view = lambda: batch.requests[-1].path == "/audiences/view"  # noqa: E731
    batch.faults.next = lambda: "busy" if is_view() else None  # type: ignore[method-assign]
    assert statuses(to.set(PLAN, [row("u1", headroom=1)])) == {"u1": UNKNOWN}
    with pytest.raises(LostAnswer):
        to.remove(PLAN, [gone(row("u1", headroom=1))])
    batch.faults = Faults()
    take = batch.answer
    replaced = Answer(200, {"name": "vip", "indexing_state": "REPLACED"})
    monkeypatch.setattr(batch, "answer", lambda request: replaced if is_view() else take(request))
    outcome = to.set(PLAN, [row("u1", headroom=1)])["u1"]
    assert (outcome.status, outcome.code) == (UNKNOWN, "audience_replaced")


def test_an_audience_that_was_made_meanwhile_is_taken(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    take = batch.answer
    batch.audiences["vip"] = set()

    def answer(request: Request) -> Answer:
        return Answer(404, {}) if len(batch.requests) == 1 else take(request)

    monkeypatch.setattr(batch, "answer", answer)
    to = made(Batch, batch, monkeypatch)
    to.prepare(PLAN)
    assert [call.path[11:] for call in batch.requests] == ["view", "create", "view"]
    monkeypatch.setattr(batch, "answer", lambda request: Answer(400, {"error_code": "TOO_MANY_AUDIENCES"}))
    with pytest.raises(WrongSettings, match="refuses to create"):
        to.prepare(PLAN)


def test_whether_an_audience_is_empty_can_be_told(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch)
    assert list(to.members(PLAN) or ()) == [], "there is none yet"
    to.prepare(PLAN)
    members = to.members(PLAN)
    assert members is not None and list(members) == []
    to.set(PLAN, [row("u1", headroom=1)])
    assert to.members(PLAN) is None, "somebody is in it, and Batch does not say who"


def test_errors_are_brought_to_their_rows(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    batch.faults = Faults(bad_keys=frozenset({"u2"}))
    to = made(Batch, batch, monkeypatch)
    to.prepare(PLAN)
    outcomes = to.set(PLAN, [row(f"u{number}", headroom=1) for number in range(4)])
    assert statuses(outcomes) == {"u0": "accepted", "u1": "accepted", "u2": REJECTED, "u3": "accepted"}
    assert (outcomes["u2"].code, outcomes["u2"].is_permanent) == ("attribute", True)
    assert set(batch.state(PLAN, ["headroom"])) == {"u0", "u1", "u3"}, "who was refused is no member"

    batch.faults = Faults(row_share=1.0)
    outcome = to.set(PLAN, [row("u0", headroom=2)])["u0"]
    assert (outcome.status, outcome.code, outcome.is_permanent) == (REJECTED, "internal", False)


def test_lost_answers_are_never_taken_for_done(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch)
    to.prepare(PLAN)
    rows = [row(f"u{number}", headroom=1) for number in range(500)]
    before = len(batch.requests)
    batch.faults = Faults(stops_after=0)
    assert statuses(to.set(PLAN, rows)) == {f"u{number}": UNKNOWN if number < 200 else PENDING for number in range(500)}
    assert len(batch.requests) - before == PATIENCE.attempts
    with pytest.raises(LostAnswer):
        to.remove(PLAN, rows)
    batch.faults = Faults(stops_after=1)
    assert set(statuses(to.set(PLAN, rows[:3])).values()) == {UNKNOWN}, "attributes are set, the audience is not known"
    batch.faults = Faults(share=1.0, kinds=("busy",))
    with pytest.raises(NotTaken):
        to.set(PLAN, rows)
    batch.faults = Faults(seed=4, share=0.4)
    while not all_accepted(to.set(PLAN, rows)):
        pass
    assert len(batch.state(PLAN, ["headroom"])) == 500


def test_a_call_that_is_refused_as_a_whole_is_for_the_engine_to_halve(
    batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = made(Batch, batch, monkeypatch)
    with pytest.raises(Refused):
        to.set(SEGMENTS, [row("u1", headroom=1), row("", headroom=1)])
    batch.problems.clear()


def test_wrong_settings_say_what_to_do_and_no_secret(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch, project="project_other")
    with pytest.raises(WrongSettings) as error:
        to.set(SEGMENTS, [row("u1", headroom=1)])
    assert KEY not in f"{error.value!r} {error.value} {to!r} {vars(to)}"
    batch.problems.clear()
    monkeypatch.delenv("BATCH_KEY")
    with pytest.raises(WrongSettings, match="BATCH_KEY"):
        Batch("crm", batch.options(), PATIENCE)


def test_what_batch_drops_silently_is_refused_before(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    to = made(Batch, batch, monkeypatch)
    refused = {
        code: to.refuse(PLAN, row("u1", **attributes))
        for code, attributes in {
            "empty_text:name": {"name": ""},
            "text_too_long:name": {"name": "x" * 301},
            "no_number:share": {"share": float("nan")},
            "no_date:plan_date": {"plan_date": "11 June"},
        }.items()
    }
    assert all(code == found for code, found in refused.items()), refused
    assert (
        to.refuse(PLAN, row("u1", name="x" * 300, plan_date="2026-06-11", share=0.5, none=None, on_date=None)) is None
    )


def test_names_and_options_are_checked() -> None:
    problems = Batch.check(
        {"mass_update_from": 0}, {"vip": ["Vip", "x" * 31, "a"], "all": [f"n{number}" for number in range(51)]}
    )
    assert [problem.path for problem in problems] == [
        ("options", "mass_update_from"),
        ("attributes", "vip", "Vip"),
        ("attributes", "vip", "x" * 31),
        ("attributes", "all"),
    ]
    assert Batch.check({}, {"vip": ["x" * 30], "all": [f"n{number}" for number in range(50)]}) == []


def test_an_audience_that_batch_can_not_have_is_named(batch: BatchStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongSettings, match="no name of an audience"):
        made(Batch, batch, monkeypatch).prepare(Target("vip", "2026-06-11", {"audience": "VIP list"}))


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        ("/profiles/update", [{"identifiers": {"custom_id": 1}}], HEADERS),
        ("/profiles/update", [PROFILE], {"Authorization": f"Bearer {KEY}"}),
        ("/profiles/update", [PROFILE], {"X_Batch_Project": PROJECT}),
        ("/profiles/update", [PROFILE] * 201, HEADERS),
        ("/audiences/update", {"name": "vip", "ids": [{"action": "add", "id": "u"}] * 10_001}, HEADERS),
        ("/audiences/update", {"name": "vip", "ids": [{"action": "set", "id": "u"}]}, HEADERS),
        ("/audiences/create", {"name": "a list", "type": "custom_ids"}, HEADERS),
    ],
    ids=["type", "project", "key", "rows", "ids", "action", "name"],
)
def test_wrong_calls_fail_by_the_contract_and_at_the_stand_in(path: str, body: object, headers: dict[str, str]) -> None:
    call = asked("POST", path, body, **headers)
    with BatchStandIn(speed=5000) as batch:
        batch.audiences["vip"] = set()
        assert ask(batch, call) in (400, 401) and batch.problems
    assert against(need(BatchStandIn.contract), call, BatchStandIn.server)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/profiles/update", [{"identifiers": {"custom_id": "u1"}, "attributes": {"$email_marketing": "subscribed"}}]),
        ("/audiences/replace", {"name": "vip", "ids": [{"id": "u1"}]}),
    ],
)
def test_the_stand_in_names_calls_that_no_sync_makes(path: str, body: object) -> None:
    with BatchStandIn() as batch:
        ask(batch, asked("POST", path, body, **HEADERS))
    assert batch.problems, "the contract has these calls: only the stand-in can tell"


def test_rates_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    # what is sent in time may come late on a busy machine, and then together with what follows
    hurry(Batch, monkeypatch, 5)
    monkeypatch.setattr(Batch, "rates", {**Batch.rates, "update": ((900, 0.8),)})
    with BatchStandIn(speed=25) as batch:
        batch.windows = {**batch.windows, "update": ((1000, 0.3),)}
        to = made(Batch, batch, monkeypatch)
        to.prepare(PLAN)
        for start in range(0, 1800, 600):
            assert all_accepted(to.set(SEGMENTS, [row(f"u{start + number}", headroom=1) for number in range(600)]))
    assert batch.problems == []
    with BatchStandIn() as batch:
        for _ in range(2):
            ask(batch, asked("POST", "/audiences/create", {"name": "vip", "type": "custom_ids"}, **HEADERS))
    assert batch.problems == ["audiences: 2 in 1.0 s, 1 are allowed"]
