"""A webhook: signed batches as JSON, for whatever has no module of its own. docs/webhook.openapi.yaml describes it."""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from typing import Any, ClassVar

import httpx

from orchestration import clock
from orchestration.activation.destinations.client import Client, limiter
from orchestration.activation.destinations.interface import (
    TAKEN,
    Destination,
    Limits,
    LostAnswer,
    Outcome,
    Patience,
    Problem,
    Refused,
    Row,
    Target,
    WrongSettings,
    rejected,
)
from orchestration.activation.destinations.options import split_url, wrong_addresses, wrong_url

_MOST_ROWS = 10_000
#: A shorter secret can be guessed from one signed batch.
_SHORTEST_SECRET = 16
#: What a receiver says of the rows of a batch; any other refusal is of the address or the receiver itself.
_OF_ROWS = ("http_400", "http_413", "http_422")


class Webhook(Destination):
    """Batches to one address, one at a time and in order, so that a receiver can simply apply them."""

    type: ClassVar[str] = "webhook"
    options: ClassVar[Mapping[str, bool]] = {
        "url": True,
        "secret_env": True,
        "rows": False,
        "addresses": False,
        "rate": False,
    }
    secrets: ClassVar[tuple[str, ...]] = ("secret_env",)
    has_profiles: ClassVar[bool] = False
    #: What the receiver holds is its own: nobody can ask.
    has_list: ClassVar[bool] = True
    limits: Limits = Limits(rows=1000, bytes=1_000_000, concurrency=1)

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        super().__init__(name, options, patience)
        secret = self.secret("secret_env")
        if len(secret) < _SHORTEST_SECRET:
            raise WrongSettings(
                f"{name}: the secret in {options['secret_env']} is too short to sign with.",
                f"Choose one of at least {_SHORTEST_SECRET} characters, such as that of `openssl rand -hex 32`.",
            )
        parts = split_url(options)
        self.addresses = self.addresses_of(options)
        self.limits = replace(Webhook.limits, rows=int(options.get("rows", Webhook.limits.rows)))
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._rate = limiter((1, 1 / float(options["rate"]))) if "rate" in options else None
        self._signature = _Signature(secret)
        self._client = Client(name, f"{parts.scheme}://{parts.netloc}", {}, self.patience)

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return what is wrong with the address, the size of a batch, the kinds of address and the rate."""
        problems = [*wrong_addresses(options), *wrong_url(options)]
        parts = split_url(options)
        if parts.username or parts.password or parts.fragment:
            problems.append(Problem(("options", "url"), "must hold no user, password or fragment: batches are signed"))
        rows, rate = options.get("rows", 1), options.get("rate", 1)
        if type(rows) is not int or not 1 <= rows <= _MOST_ROWS:
            problems.append(Problem(("options", "rows"), f"must be a whole number of rows a batch, 1 to {_MOST_ROWS}"))
        if type(rate) not in (int, float) or not 0.01 <= rate <= 1000:
            problems.append(Problem(("options", "rate"), "must be a number of batches a second, 0.01 to 1000"))
        return problems

    def refuse(self, target: Target, row: Row) -> str | None:
        """Refuse numbers that JSON does not have."""
        values = row.attributes.values()
        return "not_a_number" if any(isinstance(v, float) and not math.isfinite(v) for v in values) else None

    def size(self, target: Target, row: Row) -> int:
        """Return how many bytes a row takes, with its comma."""
        return len(_text(_said(row))) + 1

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Send a batch whose rows are members, with their attributes."""
        return self._send("set", target, rows)

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Send a batch whose rows are no members any more; the attributes named are to be unset."""
        return self._send("remove", target, rows)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _send(self, operation: str, target: Target, rows: Sequence[Row]) -> dict[str, Outcome]:
        batch: dict[str, Any] = {
            "destination": self.name,
            "audience": target.audience,
            "plan_date": target.plan_date,
            "operation": operation,
            "rows": [_said(row) for row in rows],
        }
        batch["batch_id"] = hashlib.sha256(_text(batch)).hexdigest()
        try:
            answer = self._client.call(
                "POST",
                self._path,
                rate=self._rate,
                content=_text(batch),
                headers={"Content-Type": "application/json"},
                auth=self._signature,
            )
        except Refused as error:
            if error.code in _OF_ROWS:
                raise
            raise WrongSettings(
                f"{self.name}: the webhook's answer is {error.code}, which is of no row.",
                "See that url is the receiver's own address, and that it takes POST there.",
            ) from None
        said = {row.key: TAKEN for row in rows}
        for key, outcome in _rejected(answer):
            if key not in said:
                raise LostAnswer("unexpected_answer")
            said[key] = outcome
        return said


class _Signature(httpx.Auth):
    """Signs each try of a call anew: one that had to wait is as fresh as the first."""

    requires_request_body = True

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        stamp = str(int(clock.now().replace(tzinfo=UTC).timestamp()))
        signed = hmac.new(self._secret, stamp.encode() + b"." + request.content, hashlib.sha256).hexdigest()
        request.headers["X-Barometer-Timestamp"] = stamp
        request.headers["X-Barometer-Signature"] = f"v1={signed}"
        yield request


def _said(row: Row) -> dict[str, Any]:
    return {
        "key": row.key,
        "user_id": row.user_id,
        "addresses": dict(row.addresses),
        "attributes": dict(row.attributes),
    }


def _text(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _rejected(answer: httpx.Response) -> list[tuple[str, Outcome]]:
    """Return the keys that the receiver refuses. A body of another shape is no success: somebody else may answer."""
    if not answer.content.strip():
        return []
    try:
        return [_outcome(**one) for one in answer.json()["rejected"]]
    except (ValueError, TypeError, KeyError):
        raise LostAnswer("unexpected_answer") from None


def _outcome(key: str, code: str, permanent: bool) -> tuple[str, Outcome]:
    if not (isinstance(key, str) and isinstance(code, str) and isinstance(permanent, bool)):
        raise TypeError("a rejected row is of another shape")
    return key, rejected(code, permanent)
