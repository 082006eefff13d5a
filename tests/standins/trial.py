"""What tests of destinations share: an object that goes to a stand-in, its rows, and calls made by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import httpx
import pytest

from orchestration.activation.destinations.interface import ACCEPTED, Destination, Outcome, Patience, Row, Target
from tests.standins.rates import faster
from tests.standins.server import Request, StandIn

PATIENCE = Patience(attempts=4, first_wait=0.01, poll_wait=0.01, longest_wait=1.0, timeout=5.0, longest_job=1.0)
PLAN = Target("vip", "2026-06-11")
SEGMENTS = Target("segments")
Kind = TypeVar("Kind", bound=Destination)


def made(
    kind: type[Kind], stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, patience: Patience = PATIENCE, **options: Any
) -> Kind:
    """Return a destination that goes to a stand-in, with its secrets set."""
    for name, value in stand_in.environment.items():
        monkeypatch.setenv(name, value)
    return kind("crm", stand_in.options() | options, patience)


def unlimited(kind: type[Destination], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a destination make calls as fast as it can for the rest of a test."""
    monkeypatch.setattr(kind, "rates", dict.fromkeys(kind.rates, ((10**9, 1.0),)))  # type: ignore[attr-defined]


def hurry(kind: type[Destination], monkeypatch: pytest.MonkeyPatch, times: float) -> None:
    """Make the rates of a destination faster for the rest of a test."""
    monkeypatch.setattr(kind, "rates", faster(kind.rates, times))  # type: ignore[attr-defined]


def row(key: str, **attributes: Any) -> Row:
    """Return a row whose user id is its key."""
    return Row(key, key, attributes=attributes)


def gone(row: Row) -> Row:
    """Return the row as it is removed."""
    return replace(row, attributes=dict.fromkeys(row.attributes), changed=None, once=None)


def statuses(outcomes: Mapping[str, Outcome]) -> dict[str, str]:
    """Return the status of each key."""
    return {key: outcome.status for key, outcome in outcomes.items()}


def all_accepted(outcomes: Mapping[str, Outcome]) -> bool:
    """Whether every row was taken."""
    return {outcome.status for outcome in outcomes.values()} == {ACCEPTED}


def asked(method: str, path: str, body: Any, **headers: str) -> Request:
    """Return a call as a server would see it; names of headers have ``_`` for ``-``."""
    sent = {"content-type": "application/json"} | {name.replace("_", "-").lower(): to for name, to in headers.items()}
    return Request(method, path, {}, sent, json.dumps(body).encode(), time.monotonic())


def ask(stand_in: StandIn, request: Request) -> int:
    """Make a call as it stands, and return its status."""
    return httpx.request(
        request.method, stand_in.url + request.path, content=request.body, headers=dict(request.headers)
    ).status_code
