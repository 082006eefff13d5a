"""The webhook: signed, in order, and believed only where the answer is the receiver's own."""

import hashlib
import hmac
import json
import logging
import time
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from orchestration import clock
from orchestration.activation.destinations.interface import (
    ACCEPTED,
    LostAnswer,
    NotTaken,
    Patience,
    Refused,
    Row,
    Target,
    WrongSettings,
)
from orchestration.activation.destinations.webhook import Webhook
from orchestration.settings import ROOT
from tests.standins.contracts import against
from tests.standins.logs import logged
from tests.standins.server import Answer, Faults, Request
from tests.standins.webhook import WebhookStandIn, documented

PATIENCE = Patience(attempts=3, first_wait=0.01, longest_wait=1, poll_wait=0.01, timeout=5)
CONTRACT = ROOT / "docs" / "webhook.openapi.yaml"
SERVER = "https://receiver.example.com"
PLAN = Target("hot_lead_offer", "2026-03-02")
SEGMENTS = Target("segments")
SECRET = WebhookStandIn.environment["WEBHOOK_SECRET"]
NAMES = ["tier", "visits", "is_new", "score"]


@pytest.fixture(autouse=True)
def _secret(monkeypatch, caplog):
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    caplog.set_level(logging.DEBUG)
    yield
    assert SECRET not in logged(caplog)
    assert "@" not in logged(caplog)


def row(number: int, **attributes) -> Row:
    return Row(f"ü-{number}", f"ü-{number}", {"email": f"u{number}@example.com"}, attributes)


def destination(receiver, **options) -> Webhook:
    return Webhook("crm", {**receiver.options(), **options}, PATIENCE)


def test_rows_are_set_changed_unset_and_removed():
    with WebhookStandIn() as receiver:
        crm = destination(receiver)
        said = crm.set(PLAN, [row(1, tier="gold", visits=3, is_new=True), row(2, tier="-1+1", score=0.5)])
        assert {outcome.status for outcome in said.values()} == {ACCEPTED}
        assert receiver.state(PLAN, NAMES) == {
            "ü-1": {"tier": "gold", "visits": 3, "is_new": True},
            "ü-2": {"tier": "-1+1", "score": 0.5},
        }
        crm.set(PLAN, [row(1, tier=None, visits=4, is_new=True)])
        assert receiver.state(PLAN, NAMES)["ü-1"] == {"visits": 4, "is_new": True}
        crm.set(SEGMENTS, [row(1, tier="gold")])
        said = crm.remove(PLAN, [row(1, tier=None, visits=None), row(9, tier=None)])
        assert {key: outcome.status for key, outcome in said.items()} == {"ü-1": ACCEPTED, "ü-9": ACCEPTED}
        assert set(receiver.state(PLAN, NAMES)) == {"ü-2"}
        assert set(receiver.state(SEGMENTS, NAMES)) == {"ü-1"}
        assert receiver.problems == []
        assert [against(CONTRACT, request, SERVER) for request in receiver.requests] == [None] * 4
        assert [batch["plan_date"] for batch in receiver.batches] == ["2026-03-02", "2026-03-02", None, "2026-03-02"]
        crm.close()


@pytest.mark.parametrize(
    ("change", "contract_tells"),
    [
        (lambda b: b["rows"][0]["attributes"].update(tier=["gold"]), True),
        (lambda b: b["rows"][0].update(key=17), True),
        (lambda b: b["rows"][0]["addresses"].update(postal="x"), True),
        (lambda b: b.update(operation="delete"), True),
        (lambda b: b.pop("batch_id"), True),
        (lambda b: b.pop("plan_date"), True),
        # the contract can't tell: the user's own size of a batch, a sum over the content, a key twice
        (lambda b: b.update(rows=[{**b["rows"][0], "key": str(n)} for n in range(101)]), False),
        (lambda b: b["rows"][0]["attributes"].update(tier="silver"), False),
        (lambda b: b["rows"].append(b["rows"][0]), False),
    ],
)
def test_a_wrong_batch_is_noticed(change, contract_tells):
    with WebhookStandIn() as receiver:
        crm = destination(receiver)
        crm.set(PLAN, [row(1, tier="gold")])
        right = receiver.requests[0]
        batch = json.loads(right.body)
        change(batch)
        body = json.dumps(batch, sort_keys=True, separators=(",", ":")).encode()
        wrong = _signed(replace(right, body=body))
        assert (against(CONTRACT, wrong, SERVER) is not None) == contract_tells
        assert receiver.answer(wrong).status == 400
        assert len(receiver.problems) == 1


def _signed(request: Request, secret: str = SECRET, offset: int = 0) -> Request:
    """Sign as the page says, written a second time."""
    stamp = str(int(time.time()) + offset)
    signed = hmac.digest(secret.encode(), f"{stamp}.".encode() + request.body, hashlib.sha256).hex()
    headers = {**request.headers, "x-barometer-timestamp": stamp, "x-barometer-signature": f"v1={signed}"}
    return replace(request, headers=headers)


def _without(request: Request, name: str) -> Request:
    return replace(request, headers={n: v for n, v in request.headers.items() if n != name})


def test_the_documented_receiver_takes_only_what_was_signed_with_the_secret_and_lately():
    with WebhookStandIn() as receiver:
        destination(receiver).set(PLAN, [row(1, tier="gold")])
        right = receiver.requests[0]

        def accepts(request: Request) -> bool:
            headers = {name.title(): value for name, value in request.headers.items()}
            return documented("is_signed")(SECRET, headers, request.body)

        assert accepts(right)
        assert accepts(_signed(right, offset=-200))
        wrong = [
            replace(right, body=right.body.replace(b"gold", b"cash")),
            replace(right, body=right.body + b" "),
            _signed(right, offset=-400),
            _signed(right, offset=400),
            _signed(right, secret="another secret that is long"),
            _without(right, "x-barometer-timestamp"),
            _without(right, "x-barometer-signature"),
            replace(right, headers={**right.headers, "x-barometer-timestamp": "soon"}),
            replace(right, headers={**right.headers, "x-barometer-signature": "v1=ü"}),
            # another time than the one that was signed
            replace(
                right,
                headers={
                    **right.headers,
                    "x-barometer-timestamp": _signed(right, offset=9).headers["x-barometer-timestamp"],
                },
            ),
        ]
        assert [accepts(request) for request in wrong] == [False] * len(wrong)
        for name in ("x-barometer-timestamp", "x-barometer-signature"):
            assert against(CONTRACT, _without(right, name), SERVER) is not None


def test_a_refused_row_is_that_row_with_its_reason():
    with WebhookStandIn(Faults(bad_keys=frozenset({"ü-2"}))) as receiver:
        crm = destination(receiver)
        said = crm.set(PLAN, [row(n, tier="gold") for n in range(4)])
        assert {key for key, outcome in said.items() if outcome.status == ACCEPTED} == {"ü-0", "ü-1", "ü-3"}
        assert (said["ü-2"].code, said["ü-2"].is_permanent) == ("refused_permanent", True)
        assert set(receiver.state(PLAN, NAMES)) == {"ü-0", "ü-1", "ü-3"}
    with WebhookStandIn(Faults(row_share=1.0)) as receiver:
        said = destination(receiver).set(PLAN, [row(1, tier="gold")])
        assert (said["ü-1"].code, said["ü-1"].is_permanent) == ("refused_temporary", False)


@pytest.mark.parametrize(
    "body",
    [
        "OK",
        {},
        [],
        {"ok": True},
        {"rejected": None},
        {"rejected": ["ü-1"]},
        {"rejected": [{"key": "ü-1", "code": "x"}]},
        {"rejected": [{"key": "ü-1", "code": "x", "permanent": "no"}]},
        {"rejected": [{"key": "somebody else", "code": "x", "permanent": True}]},
    ],
)
def test_an_answer_of_another_shape_is_no_success(body, monkeypatch):
    with WebhookStandIn() as receiver:
        monkeypatch.setattr(receiver, "answer", lambda request: Answer(200, body))
        with pytest.raises(LostAnswer, match="unexpected_answer"):
            destination(receiver).set(PLAN, [row(1, tier="gold")])


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, Refused), (413, Refused), (422, Refused), (302, WrongSettings), (401, WrongSettings), (403, WrongSettings)]
    + [(404, WrongSettings), (405, WrongSettings), (500, LostAnswer), (503, LostAnswer)],
)
def test_what_a_status_means(status, error, monkeypatch):
    with WebhookStandIn() as receiver:
        monkeypatch.setattr(receiver, "answer", lambda request: Answer(status, {"message": "u1@example.com"}))
        with pytest.raises(error) as raised:
            destination(receiver).set(PLAN, [row(1, tier="gold")])
        assert SECRET not in str(raised.value)
        assert "@" not in str(raised.value)


def test_lost_answers_are_tried_again_and_the_repeat_is_known_by_its_batch_id():
    with WebhookStandIn(Faults(share=1.0, kinds=("cut_after",))) as receiver:
        with pytest.raises(LostAnswer):
            destination(receiver).set(PLAN, [row(1, tier="gold")])
        assert len(receiver.batches) == PATIENCE.attempts
        assert len({batch["batch_id"] for batch in receiver.batches}) == 1
        receiver.faults.mend()
        destination(receiver).set(PLAN, [row(1, tier="silver")])
        assert receiver.batches[-1]["batch_id"] != receiver.batches[0]["batch_id"]
        assert receiver.problems == []


def test_a_busy_receiver_is_left_alone_as_long_as_it_asks():
    with WebhookStandIn(Faults(share=1.0, kinds=("busy",), pause=0.05)) as receiver:
        with pytest.raises(NotTaken, match="too_many_calls"):
            destination(receiver).set(PLAN, [row(1, tier="gold")])
        assert len(receiver.requests) == PATIENCE.attempts
        assert receiver.problems == []


def test_a_receiver_out_of_reach_has_taken_nothing():
    with WebhookStandIn() as receiver:
        options = receiver.options()
    with pytest.raises(NotTaken, match="no_connection"):
        Webhook("crm", options, PATIENCE).set(PLAN, [row(1, tier="gold")])


def test_a_try_that_had_to_wait_is_signed_anew(monkeypatch):
    now = iter(datetime(2026, 3, 2) + timedelta(minutes=n) for n in range(10))
    monkeypatch.setattr(clock, "now", lambda: next(now))
    with WebhookStandIn(Faults(share=1.0, kinds=("away",))) as receiver:
        with pytest.raises(LostAnswer):
            destination(receiver).set(PLAN, [row(1, tier="gold")])
        stamps = [int(request.headers["x-barometer-timestamp"]) for request in receiver.requests]
        assert [later - stamps[0] for later in stamps] == [0, 60, 120]


def test_the_rate_is_kept():
    with WebhookStandIn() as receiver:
        crm = destination(receiver, rate=20)
        for number in range(4):
            crm.set(PLAN, [row(number, tier="gold")])
        waits = [b.at - a.at for a, b in zip(receiver.requests, receiver.requests[1:], strict=False)]
        assert min(waits) > 0.045


def test_a_row_takes_no_more_than_its_size():
    with WebhookStandIn() as receiver:
        crm = destination(receiver)
        rows = [row(n, tier="gold", city='Zürich 🌦 " \\ \n' * 20, visits=n) for n in range(50)]
        crm.set(PLAN, rows)
        assert len(receiver.requests[0].body) <= sum(crm.size(PLAN, one) for one in rows) + 300


def test_numbers_that_json_does_not_have_are_refused_before_they_are_sent():
    with WebhookStandIn() as receiver:
        crm = destination(receiver)
        assert crm.refuse(PLAN, row(1, score=float("nan"))) == "not_a_number"
        assert crm.refuse(PLAN, row(1, score=float("inf"))) == "not_a_number"
        assert crm.refuse(PLAN, row(1, score=1.5, tier=None)) is None


@pytest.mark.parametrize("secret", ["", "pa55word"])
def test_a_secret_that_is_missing_or_short_is_named_by_its_variable(secret, monkeypatch):
    monkeypatch.setenv("WEBHOOK_SECRET", secret)
    with WebhookStandIn() as receiver, pytest.raises(WrongSettings) as raised:
        destination(receiver)
    assert "WEBHOOK_SECRET" in str(raised.value)
    assert not secret or secret not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"url": "http://crm.example.com/x"}, "url"),
        ({"url": "https://user:word@crm.example.com/x"}, "url"),
        ({"url": "https://["}, "url"),
        ({"url": "crm.example.com"}, "url"),
        ({"rows": 0}, "rows"),
        ({"rows": True}, "rows"),
        ({"rows": 10_001}, "rows"),
        ({"rate": 0}, "rate"),
        ({"rate": "fast"}, "rate"),
        ({"addresses": ["postal"]}, "addresses"),
        ({"addresses": "email"}, "addresses"),
    ],
)
def test_wrong_options_are_found_without_a_call(options, path):
    right = {"url": "https://crm.example.com/x?list=1", "secret_env": "WEBHOOK_SECRET", "addresses": ["email"]}
    assert Webhook.check(right, {}) == []
    assert [problem.path for problem in Webhook.check({**right, **options}, {})] == [("options", path)]


def test_the_query_of_the_address_stays():
    with WebhookStandIn() as receiver:
        destination(receiver, url=f"{receiver.url}/barometer?list=a%20b").set(PLAN, [row(1, tier="gold")])
        assert (receiver.requests[0].path, receiver.requests[0].query) == ("/barometer", {"list": "a b"})
