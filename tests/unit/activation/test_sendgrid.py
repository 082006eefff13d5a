"""SendGrid: imports followed to their end, files of errors, fields that are emptied, calls as the contract has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

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
from orchestration.activation.destinations.sendgrid import SendGrid
from tests.standins.contracts import against, need
from tests.standins.sendgrid import KEY, SendGridStandIn
from tests.standins.server import Answer, Faults, Request

PATIENCE = Patience(first_wait=0.01, longest_wait=1.0, poll_wait=0.01, timeout=2.0, longest_job=2.0)
VIP = Target("vip", "2026-03-01", {})
NAMES = ("e1_T", "e2_T", "e3_T")
BEARER = {"authorization": f"Bearer {KEY}"}
PATH = "/v3/marketing/contacts"
LIST = "00000000-0000-4000-8000-000000000000"


def row(name: str, **attributes: str | int | None) -> Row:
    return Row(f"{name}@example.com", name, {}, {"e1_T": "2026-03-01", "e2_T": "a", "e3_T": 7} | attributes)


def gone(name: str) -> Row:
    return Row(f"{name}@example.com", name, {}, dict.fromkeys(NAMES))


@contextmanager
def sendgrid(stand_in: SendGridStandIn, patience: Patience = PATIENCE) -> Iterator[SendGrid]:
    with stand_in, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENDGRID_API_KEY", KEY)
        destination = SendGrid("crm", stand_in.options(), patience)
        yield destination
        destination.close()
    assert not [problem for problem in stand_in.problems if "consent" in problem]


def fits(requests: list[Request]) -> list[str]:
    """What the contract has against calls."""
    file = need("sendgrid-mc-contacts.openapi.json")
    return [found for one in requests if (found := against(file, one, SendGridStandIn.server)) is not None]


def test_fields_are_as_they_were_said_and_every_call_as_the_contract_has_it():
    stand_in = SendGridStandIn(Faults(bad_keys=frozenset({"bad@example.com"})))
    stand_in.contacts["old@example.com"] = {
        "email": "old@example.com",
        "external_id": "known elsewhere",
        "custom_fields": {"e1_T": "2026-02-28", "e9_T": "not ours"},
    }
    with sendgrid(stand_in) as destination:
        assert destination.set(VIP, [row("u1"), row("u2"), row("bad")]) == {
            "u1@example.com": TAKEN,
            "u2@example.com": TAKEN,
            "bad@example.com": rejected("invalid_email"),
        }
        destination.set(VIP, [row("u1", e2_T=None, e3_T=9)])
        # it has an identifier of its own, without which SendGrid does not change it
        assert destination.set(VIP, [row("old"), row("u1", e2_T=None, e3_T=9)]) == {
            "old@example.com": TAKEN,
            "u1@example.com": TAKEN,
        }
        assert stand_in.state(VIP, NAMES)["old@example.com"] == {"e1_T": "2026-03-01", "e2_T": "a", "e3_T": 7}
        assert destination.remove(VIP, [gone("u2"), gone("nobody"), gone("old")]) == {
            "u2@example.com": TAKEN,
            "nobody@example.com": TAKEN,
            "old@example.com": TAKEN,
        }
        assert destination.remove(VIP, [gone("nobody")]) == {"nobody@example.com": TAKEN}
    assert stand_in.state(VIP, NAMES) == {"u1@example.com": {"e1_T": "2026-03-01", "e3_T": 9}}
    # who left stays a contact with what is not ours, and a stranger was not made one
    assert stand_in.contacts["old@example.com"]["custom_fields"] == {"e9_T": "not ours"}
    assert "nobody@example.com" not in stand_in.contacts
    # among the problems are calls and fields that change consent or lists, or delete
    assert stand_in.problems == []
    assert {request.method for request in stand_in.requests} == {"PUT", "GET", "POST"}
    assert fits(stand_in.requests) == []


@pytest.mark.parametrize(
    ("method", "path", "body", "is_seen_by_contract"),
    [
        ("PUT", PATH, {"contacts": [{"email": 5}]}, True),
        ("PUT", PATH, {"contacts": [{}] * 30_001}, True),
        ("PUT", PATH, {"contacts": [{"email": "u1@example.com", "custom_fields": {"e1_T": None}}]}, False),  # only w1
        ("PUT", PATH, {"contacts": [{"custom_fields": {"e1_T": "x"}}]}, False),  # it asks for no identifier
        ("PUT", PATH, {"contacts": [{"email": "u1@example.com"}], "list_ids": [LIST]}, False),  # a list by the way
        ("POST", f"{PATH}/search/identifiers/email", {"identifiers": [1]}, True),
        ("POST", f"{PATH}/search/identifiers/email", {"identifiers": ["a"] * 101}, False),  # it counts none
        ("DELETE", f"{PATH}?ids=1", None, False),  # a call there is, and that nobody may make
    ],
)
def test_wrong_calls_are_told(method, path, body, is_seen_by_contract):
    stand_in = SendGridStandIn()
    with stand_in:
        answer = httpx.request(method, f"{stand_in.url}{path}", json=body, headers=BEARER)
    assert answer.status_code == 400 and len(stand_in.problems) == 1
    assert bool(fits(stand_in.requests)) is is_seen_by_contract


def test_a_call_without_its_header_is_told():
    stand_in = SendGridStandIn()
    with stand_in:
        httpx.get(f"{stand_in.url}{PATH}/imports/1")
    assert len(stand_in.problems) == 1
    assert fits(stand_in.requests) != []


def test_a_refusal_that_may_pass_is_told_from_one_that_stays():
    stand_in = SendGridStandIn(Faults(row_share=1.0, bad_keys=frozenset({"bad@example.com"})))
    with sendgrid(stand_in) as destination:
        assert destination.set(VIP, [row("bad"), row("u1")]) == {
            "bad@example.com": rejected("invalid_email"),
            "u1@example.com": rejected("please_try_again", is_permanent=False),
        }
        stand_in.faults.mend()
        assert destination.set(VIP, [row("u1")]) == {"u1@example.com": TAKEN}


def test_errors_on_another_host_are_not_fetched_and_the_sync_halves():
    stand_in = SendGridStandIn(Faults(bad_keys=frozenset({"bad@example.com"})))
    stand_in.files_host = "https://amazonaws.com.elsewhere.example"
    with sendgrid(stand_in) as destination:
        with pytest.raises(Refused, match="errors_unread"):
            destination.set(VIP, [row("u1"), row("bad")])
        assert destination.set(VIP, [row("u1")]) == {"u1@example.com": TAKEN}


def test_a_field_that_the_account_has_not_refuses_the_call():
    stand_in = SendGridStandIn(fields=["e1_T"])
    with sendgrid(stand_in) as destination, pytest.raises(Refused):
        destination.set(VIP, [row("u1")])


@pytest.mark.parametrize("kind", ["cut_after", "error_after", "cut_before"])
def test_a_lost_answer_is_no_success(kind):
    stand_in = SendGridStandIn(Faults(share=1.0, kinds=(kind,)))
    with sendgrid(stand_in, replace(PATIENCE, attempts=2)) as destination:
        with pytest.raises(LostAnswer):
            destination.set(VIP, [row("u1")])
        with pytest.raises(NotTaken):  # the search changes nothing
            destination.remove(VIP, [gone("u1")])


def test_an_import_whose_end_is_not_seen_is_a_lost_answer():
    stand_in = SendGridStandIn(Faults(stops_after=1))
    with sendgrid(stand_in, replace(PATIENCE, attempts=2)) as destination, pytest.raises(LostAnswer):
        destination.set(VIP, [row("u1")])
    stand_in.faults.mend()
    stand_in.jobs.looks = 10_000
    with sendgrid(stand_in, replace(PATIENCE, longest_job=0.05)) as destination, pytest.raises(LostAnswer):
        destination.set(VIP, [row("u1")])


def test_busy_is_obeyed_and_then_nothing_was_taken():
    stand_in = SendGridStandIn(Faults(share=1.0, kinds=("busy",), pause=0.1))
    with sendgrid(stand_in, replace(PATIENCE, attempts=3)) as destination, pytest.raises(NotTaken):
        destination.set(VIP, [row("u1")])
    assert len(stand_in.requests) == 3
    pairs = zip(stand_in.requests, stand_in.requests[1:], strict=False)
    assert all(later.at - sooner.at >= 0.095 for sooner, later in pairs)


def test_a_wrong_key_is_a_setting():
    stand_in = SendGridStandIn()
    with stand_in, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SENDGRID_API_KEY", "SG.secret")
        with pytest.raises(WrongSettings) as caught:
            SendGrid("crm", stand_in.options(), PATIENCE).set(VIP, [row("u1")])
        assert "SG.secret" not in f"{caught.value!r} {caught.value}"


def test_only_fields_for_text_that_one_audience_has_are_taken():
    problems = SendGrid.check({}, {"vip": ["e1_T", "e2_N", "_rf2_T", "name"], "late": ["e1_T", "e3_T"]})
    assert [(problem.path[1], problem.path[-1]) for problem in problems] == [
        ("vip", "e2_N"),
        ("vip", "_rf2_T"),
        ("vip", "name"),
        ("vip", "e1_T"),
        ("late", "e1_T"),
    ]


def test_a_call_is_never_longer_than_its_rows_are_said_to_be():
    stand_in = SendGridStandIn()
    rows = [row(f"u{n}", e2_T='é{"}' * n) for n in range(30)] + [gone(f"g{n}") for n in range(30)]
    with sendgrid(stand_in) as destination:
        destination.set(VIP, rows)
        assert max(len(request.body) for request in stand_in.requests) < sum(destination.size(VIP, one) for one in rows)


@pytest.mark.parametrize("body", [b"<html>", b"[]", {}])
def test_an_answer_that_says_nothing_is_no_success(body):
    class Speechless(SendGridStandIn):
        def answer(self, request: Request) -> Answer:
            return Answer(202, body)

    with sendgrid(Speechless()) as destination, pytest.raises(LostAnswer):
        destination.set(VIP, [row("u1")])
