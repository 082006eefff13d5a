"""Brevo: imports followed to their end and read, removal from lists, what the contract and the rules say of calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from orchestration.activation.destinations.brevo import Brevo
from orchestration.activation.destinations.interface import (
    TAKEN,
    NotTaken,
    Outcome,
    Patience,
    Row,
    Target,
    WrongSettings,
    rejected,
)
from orchestration.activation.destinations.jobs import rows_of_report
from tests.standins.brevo import KEY, BrevoStandIn
from tests.standins.contracts import against, need
from tests.standins.server import Answer, Faults, Request

PATIENCE = Patience(first_wait=0.01, longest_wait=1.0, poll_wait=0.01, timeout=2.0, longest_job=2.0)
VIP = Target("vip", "2026-03-01", {"list": 3})
NAMES = ("vip_plan_date", "vip_variant", "score")


def row(key: str, **attributes: str | int | None) -> Row:
    addresses = {"email": f"{key}@example.com"}
    return Row(key, key, addresses, {"vip_plan_date": "2026-03-01", "vip_variant": "a", "score": 7} | attributes)


def gone(key: str) -> Row:
    return Row(key, key, {}, dict.fromkeys(NAMES))


@contextmanager
def brevo(stand_in: BrevoStandIn, patience: Patience = PATIENCE) -> Iterator[Brevo]:
    with stand_in, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREVO_API_KEY", KEY)
        destination = Brevo("crm", stand_in.options(), patience)
        yield destination
        destination.close()
    assert not [problem for problem in stand_in.problems if "consent" in problem]


def fits(requests: list[Request]) -> list[str]:
    """What the contract has against calls."""
    file = need("brevo.openapi.json")
    return [found for request in requests if (found := against(file, request, BrevoStandIn.server)) is not None]


def story(stand_in: BrevoStandIn, destination: Brevo) -> None:
    """Every call there is: rows of three shapes, a change, a null, removals of members, of others, of strangers."""
    by_phone = Row("u4", "u4", {"phone": "+33612345678"}, {"vip_plan_date": "2026-03-01"})
    assert destination.set(VIP, [row("u1"), row("u2"), row("u/3"), by_phone]) == dict.fromkeys(
        ("u1", "u2", "u/3", "u4"), TAKEN
    )
    destination.set(VIP, [row("u1", vip_variant=None, score=9)])
    assert sorted(destination.members(VIP)) == ["u/3", "u1", "u2", "u4"]
    assert destination.remove(VIP, [gone("u2"), gone("u/3"), gone("nobody")]) == dict.fromkeys(
        ("u2", "u/3", "nobody"), TAKEN
    )
    assert destination.remove(VIP, [gone("u2")]) == {"u2": TAKEN}
    assert stand_in.state(VIP, NAMES) == {
        "u1": {"vip_plan_date": "2026-03-01", "score": 9},
        "u4": {"vip_plan_date": "2026-03-01"},
    }


def test_lists_and_attributes_are_as_they_were_said_and_every_call_as_the_contract_has_it():
    stand_in = BrevoStandIn(second=0.3)
    with brevo(stand_in, replace(PATIENCE, second=0.3)) as destination:
        story(stand_in, destination)
    # among the problems are calls and fields that change consent, and a rate that is exceeded
    assert stand_in.problems == []
    assert {request.method for request in stand_in.requests} == {"GET", "POST", "PUT"}
    assert not any(b"lack" in request.body or b"nsubscri" in request.body for request in stand_in.requests)
    # nobody's address was emptied, who left has nothing of ours, and a stranger was not made a contact
    assert stand_in.contacts["u4"]["attributes"]["SMS"] == "+33612345678"
    assert stand_in.contacts["u2"] == {"email": "u2@example.com", "attributes": {"EXT_ID": "u2"}}
    assert "nobody" not in stand_in.contacts
    assert fits(stand_in.requests) == []


@pytest.mark.parametrize(
    ("path", "body", "is_seen_by_contract"),
    [
        (
            "/v3/contacts/import",
            {"listIds": ["three"], "jsonBody": [{"email": "a@example.com", "attributes": {}}]},
            True,
        ),
        ("/v3/contacts/import", {"listIds": [3], "jsonBody": [{"email": 5, "attributes": {}}]}, True),
        ("/v3/contacts/import", {"listIds": [3], "jsonBody": [{"attributes": {"SCORE": 1}}]}, False),  # whom?
        ("/v3/contacts/lists/3/contacts/remove", {"extIds": [f"u{n}" for n in range(151)]}, True),
        ("/v3/contacts/lists/3/contacts/remove", {"extIds": [1]}, True),
        ("/v3/contacts/import", {"listIds": [3], "emailBlacklist": False, "jsonBody": []}, False),  # consent
    ],
)
def test_wrong_calls_are_told(path, body, is_seen_by_contract):
    stand_in = BrevoStandIn()
    with stand_in:
        answer = httpx.post(f"{stand_in.url}{path}", json=body, headers={"api-key": KEY})
    assert answer.status_code in (400, 413)
    if path.endswith("import") and body.get("listIds") == ["three"]:
        assert stand_in.problems == []  # an unknown list is the company's mistake, and refused
    else:
        assert len(stand_in.problems) == 1
    assert bool(fits(stand_in.requests)) is is_seen_by_contract


def test_a_call_without_its_header_is_told():
    stand_in = BrevoStandIn()
    with stand_in:
        httpx.get(f"{stand_in.url}/v3/processes/1")
    assert len(stand_in.problems) == 1
    assert fits(stand_in.requests) != []


def test_rows_left_out_are_read_from_the_reports_of_the_import():
    stand_in = BrevoStandIn(Faults(bad_keys=frozenset({"u2"})))
    with brevo(stand_in) as destination:
        assert destination.set(VIP, [row("u1"), row("u2"), row("u3")]) == {
            "u1": TAKEN,
            "u2": rejected("invalid_emails"),
            "u3": TAKEN,
        }
        stand_in.faults.row_share = 1.0
        assert destination.set(VIP, [row("u1")]) == {"u1": rejected("duplicate_email_id", is_permanent=False)}
        assert destination.remove(VIP, [gone("u1")]) == {"u1": rejected("http_400", is_permanent=False)}
        stand_in.faults.mend()
        assert destination.remove(VIP, [gone("u1")]) == {"u1": TAKEN}
    assert stand_in.problems == []


def test_an_import_empties_nothing_that_its_row_does_not_name():
    stand_in = BrevoStandIn()
    with brevo(stand_in) as destination:
        both = Row("u1", "u1", {"email": "u1@example.com", "phone": "+33612345678"}, {"score": 1, "other": 2})
        destination.set(VIP, [both])
        by_phone = Row("u2", "u2", {"phone": "+33687654321"}, {"score": 3, "other": None})
        destination.set(VIP, [replace(both, addresses={"email": "u1@example.com"}, attributes={"score": 4}), by_phone])
    assert stand_in.contacts["u1"]["attributes"] == {"EXT_ID": "u1", "SMS": "+33612345678", "SCORE": 4, "OTHER": 2}


def test_a_member_that_the_list_does_not_let_go_of_is_not_taken_for_removed():
    stand_in = BrevoStandIn()
    with brevo(stand_in) as destination:
        destination.set(VIP, [row("u1"), row("u2")])
        stand_in.stuck = frozenset({"u1"})
        assert destination.remove(VIP, [gone("u1"), gone("u2")]) == {
            "u1": rejected("still_in_list", is_permanent=False),
            "u2": TAKEN,
        }


def test_a_report_on_another_host_is_not_fetched_and_its_rows_are_not_taken_for_done():
    stand_in = BrevoStandIn(Faults(bad_keys=frozenset({"u2"})))
    stand_in.files_host = "https://elsewhere.example"
    with brevo(stand_in) as destination:
        unknown = Outcome("unknown", "report_unread")
        assert destination.set(VIP, [row("u1"), row("u2")]) == {"u1": unknown, "u2": unknown}


@pytest.mark.parametrize("kind", ["cut_after", "error_after", "cut_before"])
def test_a_lost_answer_is_no_success(kind):
    stand_in = BrevoStandIn(Faults(share=1.0, kinds=(kind,)))
    with brevo(stand_in, replace(PATIENCE, attempts=2)) as destination:
        assert destination.set(VIP, [row("u1")])["u1"].status == "unknown"
        assert destination.remove(VIP, [gone("u1")])["u1"].status == "unknown"


def test_a_job_whose_end_is_not_seen_is_a_lost_answer():
    stand_in = BrevoStandIn()
    stand_in.jobs.looks = 10_000
    with brevo(stand_in, replace(PATIENCE, longest_job=0.05)) as destination:
        assert destination.set(VIP, [row("u1")]) == {"u1": Outcome("unknown", "job_goes_on")}


def test_busy_is_obeyed_and_then_nothing_was_taken():
    stand_in = BrevoStandIn(Faults(share=1.0, kinds=("busy",), pause=0.05))
    with brevo(stand_in, replace(PATIENCE, attempts=3)) as destination, pytest.raises(NotTaken):
        destination.set(VIP, [row("u1")])
    assert stand_in.problems == [] and len(stand_in.requests) == 3
    assert all(
        later.at - sooner.at >= 0.05 for sooner, later in zip(stand_in.requests, stand_in.requests[1:], strict=False)
    )


def test_what_was_taken_out_of_the_list_is_not_said_to_be_untouched():
    stand_in = BrevoStandIn()
    with brevo(stand_in, replace(PATIENCE, attempts=2)) as destination:
        destination.set(VIP, [row("u1"), row("u2")])
        stand_in.faults.stops_after = len(stand_in.requests) + 1 + 1  # the list and the first contact
        outcomes = destination.remove(VIP, [gone("u1"), gone("u2")])
    assert outcomes["u1"] == TAKEN and outcomes["u2"].status == "unknown"


def test_a_provider_that_is_busy_half_way_has_taken_the_first_half():
    class BusyHalfWay(BrevoStandIn):
        def answer(self, request: Request) -> Answer:
            return self.busy(0.01) if request.method == "PUT" else super().answer(request)

    with brevo(BusyHalfWay(), replace(PATIENCE, attempts=2)) as destination:
        destination.set(VIP, [row("u1"), row("u2")])
        outcomes = destination.remove(VIP, [gone("u1"), gone("u2")])
    assert {outcome.status for outcome in outcomes.values()} == {"unknown"}


def test_a_wrong_key_and_a_missing_list_are_settings():
    stand_in = BrevoStandIn()
    with stand_in, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BREVO_API_KEY", "xkeysib-secret")
        with pytest.raises(WrongSettings) as caught:
            Brevo("crm", stand_in.options(), PATIENCE).set(VIP, [row("u1")])
        assert "xkeysib" not in f"{caught.value!r} {caught.value}"
        patch.setenv("BREVO_API_KEY", KEY)
        with pytest.raises(WrongSettings, match="no list 77"):
            Brevo("crm", stand_in.options(), PATIENCE).set(replace(VIP, options={"list": 77}), [row("u1")])
        with pytest.raises(WrongSettings, match="no list 77"):
            list(Brevo("crm", stand_in.options(), PATIENCE).members(replace(VIP, options={"list": 77})))
        with pytest.raises(WrongSettings, match="names no list"):
            Brevo("crm", stand_in.options(), PATIENCE).set(replace(VIP, options={"list": "vip"}), [row("u1")])


def test_a_list_that_others_fill_is_not_taken_over():
    stand_in = BrevoStandIn()
    stand_in.contacts["x"] = {"email": "x@example.com", "attributes": {}}
    stand_in.lists[3].add("x")
    with brevo(stand_in) as destination, pytest.raises(WrongSettings, match="without EXT_ID"):
        list(destination.members(VIP))


def test_the_rate_holds_with_a_call_a_row():
    stand_in = BrevoStandIn(second=0.3)
    with brevo(stand_in, replace(PATIENCE, second=0.3)) as destination:
        destination.remove(VIP, [gone(f"u{n}") for n in range(15)])
    assert stand_in.problems == [] and len(stand_in.requests) == 16


def test_names_are_checked_as_brevo_takes_them():
    problems = Brevo.check({}, {"vip": ["score", "Score", "good_one", "no-dash", "ext_id", "x" * 51]})
    assert [problem.path[-1] for problem in problems] == ["score", "Score", "no-dash", "ext_id", "x" * 51]


def test_a_call_is_never_longer_than_its_rows_are_said_to_be():
    stand_in = BrevoStandIn()
    rows = [row(f"u{n}", vip_variant='é{"}' * n) for n in range(30)] + [gone(f"g{n}") for n in range(30)]
    with brevo(stand_in) as destination:
        destination.set(VIP, rows)
        assert max(len(request.body) for request in stand_in.requests) < sum(destination.size(VIP, one) for one in rows)


@pytest.mark.parametrize("body", [b"<html>", b"[]", {}])
def test_an_answer_that_says_nothing_is_no_success(body):
    class Speechless(BrevoStandIn):
        def answer(self, request: Request) -> Answer:
            return Answer(202, body)

    with brevo(Speechless()) as destination:
        assert destination.set(VIP, [row("u1")])["u1"].status == "unknown"


def test_a_refused_row_does_not_take_along_another_of_the_same_address():
    names = {"u1": "u1", "u2": "u2", "both@example.com": "u1"}
    assert rows_of_report("EMAIL;EXT_ID\nboth@example.com;u2", names) == {"u2": ""}
    assert rows_of_report("EMAIL;EXT_ID\nboth@example.com;", names) == {"u1": ""}
    assert rows_of_report("EMAIL;EXT_ID\n;U7", {"u7": "u7", "U7": "U7"}) == {"U7": ""}
