"""Klaviyo: imports in bulk and their errors, removal by Klaviyo's ids, what the contract and the rules say of calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from orchestration.activation.destinations.interface import (
    TAKEN,
    LostAnswer,
    NotTaken,
    Patience,
    Refused,
    Row,
    Target,
    WrongSettings,
    rejected,
)
from orchestration.activation.destinations.klaviyo import Klaviyo
from tests.standins.contracts import against, need
from tests.standins.klaviyo import KEY, KlaviyoStandIn
from tests.standins.server import Answer, Faults, Request

PATIENCE = Patience(first_wait=0.01, longest_wait=1.0, poll_wait=0.01, timeout=2.0, longest_job=2.0)
VIP, SEGMENTS = Target("vip", "2026-03-01", {"list": "L1"}), Target("segments")
NAMES = ("vip_plan_date", "vip_variant", "score")
HEADERS = {
    "authorization": f"Klaviyo-API-Key {KEY}",
    "revision": "2026-07-15",
    "accept": "application/vnd.api+json",
    "content-type": "application/vnd.api+json",
}


def row(key: str, **attributes: str | int | None) -> Row:
    addresses = {"email": f"{key}@example.com", "phone": "+33612345678"}
    return Row(key, key, addresses, {"vip_plan_date": "2026-03-01", "vip_variant": "a", "score": 7} | attributes)


def gone(key: str) -> Row:
    return Row(key, key, {}, dict.fromkeys(NAMES))


@contextmanager
def klaviyo(stand_in: KlaviyoStandIn, patience: Patience = PATIENCE) -> Iterator[Klaviyo]:
    with stand_in, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KLAVIYO_API_KEY", KEY)
        destination = Klaviyo("crm", stand_in.options(), patience)
        yield destination
        destination.close()
    assert not [problem for problem in stand_in.problems if "consent" in problem]


def fits(requests: list[Request]) -> list[str]:
    """What the contract has against calls."""
    file = need("klaviyo.openapi.json")
    return [found for one in requests if (found := against(file, one, KlaviyoStandIn.server)) is not None]


def story(stand_in: KlaviyoStandIn, destination: Klaviyo) -> None:
    """Every call there is: rows, a change, a null, errors, removals of members and of a stranger."""
    assert list(destination.members(VIP) or ()) == []
    assert destination.set(VIP, [row("u1"), row("u2"), row("bad")]) == {
        "u1": TAKEN,
        "u2": TAKEN,
        "bad": rejected("invalid"),
    }
    destination.set(VIP, [row("u1", vip_variant=None, score=9)])
    destination.set(SEGMENTS, [Row("u3", "u3", {}, {"score": 1, "vip_variant": None})])
    assert destination.remove(VIP, [gone("u2"), gone("nobody")]) == {"u2": TAKEN, "nobody": TAKEN}
    assert stand_in.state(VIP, NAMES) == {"u1": {"vip_plan_date": "2026-03-01", "score": 9}}
    assert stand_in.state(SEGMENTS, ["score"]) == {"u1": {"score": 9}, "u3": {"score": 1}}
    assert destination.remove(SEGMENTS, [Row("u3", "u3", {}, {"score": None})]) == {"u3": TAKEN}
    assert stand_in.state(SEGMENTS, ["score"]) == {"u1": {"score": 9}}


def test_lists_and_properties_are_as_they_were_said_and_every_call_as_the_contract_has_it():
    stand_in = KlaviyoStandIn(Faults(bad_keys=frozenset({"bad"})))
    with klaviyo(stand_in) as destination:
        story(stand_in, destination)
    # among the problems are calls and fields that change consent
    assert stand_in.problems == []
    assert not any(word in request.path for request in stand_in.requests for word in ("subscription", "suppression"))
    assert fits(stand_in.requests) == []


def imported(profiles: list[Any]) -> dict[str, Any]:
    job = {"type": "profile-bulk-import-job", "attributes": {"profiles": {"data": profiles}}}
    return {"data": job}


PROFILE = {"type": "profile", "attributes": {"external_id": "u1"}}


@pytest.mark.parametrize(
    ("method", "path", "body", "is_seen_by_contract"),
    [
        ("POST", "profile-bulk-import-jobs", imported([{"type": "profile", "attributes": {"external_id": 5}}]), True),
        ("POST", "profile-bulk-import-jobs", imported([{"type": "person", "attributes": {}}]), True),
        ("POST", "profile-bulk-import-jobs", imported([PROFILE] * 10_001), None),  # it counts no rows
        (
            "POST",
            "profile-bulk-import-jobs",
            imported([{"type": "profile", "attributes": {"external_id": "u1", "properties": {"$consent": ["email"]}}}]),
            False,  # a property is anything to the contract
        ),
        ("DELETE", "lists/L1/relationships/profiles", {"data": [{"type": "profile"}]}, True),
        ("DELETE", "lists/L1/relationships/profiles", {"data": [{"type": "profile", "id": "1"}] * 1001}, False),
        ("POST", "profile-subscription-bulk-delete-jobs", {"data": {}}, True),
    ],
)
def test_wrong_calls_are_told(method, path, body, is_seen_by_contract):
    stand_in = KlaviyoStandIn()
    with stand_in:
        answer = httpx.request(method, f"{stand_in.url}/api/{path}", content=json.dumps(body), headers=HEADERS)
    assert answer.status_code == 400 and len(stand_in.problems) == 1
    if is_seen_by_contract is not None:  # to read so many rows takes the contract seconds
        assert bool(fits(stand_in.requests)) is is_seen_by_contract


@pytest.mark.parametrize(
    ("header", "is_seen_by_contract"),
    [("authorization", True), ("revision", False), ("content-type", True)],  # the contract has a default revision
)
def test_a_call_without_a_header_is_told(header, is_seen_by_contract):
    headers = {name: value for name, value in HEADERS.items() if name != header}
    stand_in = KlaviyoStandIn()
    with stand_in:
        path = f"{stand_in.url}/api/profile-bulk-import-jobs"
        httpx.post(path, content=json.dumps(imported([PROFILE])), headers=headers)
    assert len(stand_in.problems) == 1
    found = fits(stand_in.requests)
    if header != "content-type":  # `against` takes one that is missing for JSON
        assert bool(found) is is_seen_by_contract


def test_errors_are_brought_to_their_rows_from_every_page():
    bad = frozenset(f"u{n}" for n in range(0, 240, 2)) | frozenset(f"u{n}" for n in range(1, 40, 2))
    stand_in = KlaviyoStandIn(Faults(bad_keys=bad))
    with klaviyo(stand_in) as destination:
        outcomes = destination.set(VIP, [row(f"u{n}") for n in range(240)])
        assert {key for key, outcome in outcomes.items() if outcome == rejected("invalid")} == bad
        assert {key for key, outcome in outcomes.items() if outcome == TAKEN} == set(outcomes) - bad
        stand_in.faults.row_share = 1.0
        assert destination.set(VIP, [row("u1"), row("u41")])["u41"] == rejected("internal_error", is_permanent=False)
        assert destination.remove(VIP, [gone("u41")]) == {"u41": rejected("http_409", is_permanent=False)}
        stand_in.faults.mend()
        assert destination.remove(VIP, [gone("u41")]) == {"u41": TAKEN}
    assert stand_in.problems == []
    assert set(stand_in.state(VIP, NAMES)) == set(outcomes) - bad - {"u41"}


def test_an_error_that_names_no_row_is_for_the_sync_to_halve():
    stand_in = KlaviyoStandIn(Faults(bad_keys=frozenset({"u2"})), names_rows=False)
    with klaviyo(stand_in) as destination, pytest.raises(Refused):
        destination.set(VIP, [row("u1"), row("u2")])


@pytest.mark.parametrize("kind", ["cut_after", "error_after", "cut_before"])
def test_a_lost_answer_is_no_success(kind):
    stand_in = KlaviyoStandIn(Faults(share=1.0, kinds=(kind,)))
    with klaviyo(stand_in, replace(PATIENCE, attempts=2)) as destination:
        with pytest.raises(LostAnswer):
            destination.set(VIP, [row("u1")])
        assert destination.remove(VIP, [gone("u1"), gone("u2")])["u1"].status == "unknown"


def test_what_cannot_be_looked_at_was_sent_all_the_same():
    stand_in = KlaviyoStandIn(Faults(stops_after=1))
    with klaviyo(stand_in, replace(PATIENCE, attempts=2)) as destination, pytest.raises(LostAnswer):
        destination.set(VIP, [row("u1")])
    stand_in.jobs.looks = 10_000
    stand_in.faults.mend()
    with klaviyo(stand_in, replace(PATIENCE, longest_job=0.05)) as destination, pytest.raises(LostAnswer):
        destination.set(VIP, [row("u1")])


def test_a_removal_cut_short_is_taken_for_done_nowhere():
    stand_in = KlaviyoStandIn()
    with klaviyo(stand_in, replace(PATIENCE, attempts=2)) as destination:
        destination.set(VIP, [row("u1"), row("u2")])
        stand_in.faults.stops_after = stand_in.faults._calls + 2  # both profiles, not the list
        outcomes = destination.remove(VIP, [gone("u1"), gone("u2")])
        assert {outcome.status for outcome in outcomes.values()} == {"unknown"}
        stand_in.faults.mend()
        assert destination.remove(VIP, [gone("u1"), gone("u2")]) == {"u1": TAKEN, "u2": TAKEN}
    assert stand_in.state(VIP, NAMES) == {}


def test_busy_is_obeyed_and_then_nothing_was_taken():
    stand_in = KlaviyoStandIn(Faults(share=1.0, kinds=("busy",), pause=0.05))
    with klaviyo(stand_in, replace(PATIENCE, attempts=3)) as destination:
        with pytest.raises(NotTaken):
            destination.set(VIP, [row("u1")])
        with pytest.raises(NotTaken):
            destination.remove(VIP, [gone("u1")])
    assert stand_in.problems == [] and len(stand_in.requests) == 6


def test_a_wrong_key_and_a_missing_list_are_settings():
    stand_in = KlaviyoStandIn()
    with stand_in, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KLAVIYO_API_KEY", "pk_secret")
        with pytest.raises(WrongSettings) as caught:
            Klaviyo("crm", stand_in.options(), PATIENCE).set(VIP, [row("u1")])
        assert "pk_secret" not in f"{caught.value!r} {caught.value}"
        patch.setenv("KLAVIYO_API_KEY", KEY)
        with pytest.raises(WrongSettings, match="no list L77"):
            Klaviyo("crm", stand_in.options(), PATIENCE).set(replace(VIP, options={"list": "L77"}), [row("u1")])
        with pytest.raises(WrongSettings, match="no list L77"):
            Klaviyo("crm", stand_in.options(), PATIENCE).members(replace(VIP, options={"list": "L77"}))


def test_a_list_with_members_cannot_be_told():
    stand_in = KlaviyoStandIn()
    stand_in.lists["L1"].add("01P")
    with klaviyo(stand_in) as destination:
        assert destination.members(VIP) is None
        assert list(destination.members(SEGMENTS) or ()) == []


def test_names_and_sizes_are_checked_as_klaviyo_takes_them():
    assert [problem.path[-1] for problem in Klaviyo.check({}, {"vip": ["$email_marketing", "any name"]})] == [
        "$email_marketing"
    ]
    stand_in = KlaviyoStandIn()
    with klaviyo(stand_in) as destination:
        assert destination.refuse(VIP, row("u1", vip_variant="x" * 100_000)) == "over_100_kb"
        assert destination.refuse(VIP, row("u1")) is None


def test_the_rate_holds():
    stand_in = KlaviyoStandIn(second=0.3)
    with klaviyo(stand_in, replace(PATIENCE, second=0.3)) as destination:
        for _ in range(15):
            destination.members(VIP)
        assert destination.set(VIP, [row("u1")]) == {"u1": TAKEN}
        destination.remove(VIP, [gone(f"u{n}") for n in range(80)])
    assert stand_in.problems == []


def test_a_call_is_never_longer_than_its_rows_are_said_to_be():
    stand_in = KlaviyoStandIn()
    rows = [row(f"u{n}", vip_variant='é{"}' * n) for n in range(30)] + [gone(f"g{n}") for n in range(30)]
    with klaviyo(stand_in) as destination:
        destination.set(VIP, rows)
        assert max(len(request.body) for request in stand_in.requests) < sum(destination.size(VIP, one) for one in rows)


@pytest.mark.parametrize("body", [b"<html>", b"[]", {}])
def test_an_answer_that_says_nothing_is_no_success(body):
    class Speechless(KlaviyoStandIn):
        def answer(self, request: Request) -> Answer:
            return Answer(202, body)

    with klaviyo(Speechless()) as destination:
        with pytest.raises(LostAnswer):
            destination.set(VIP, [row("u1")])
        assert destination.remove(VIP, [gone("u1")])["u1"].status == "unknown"
