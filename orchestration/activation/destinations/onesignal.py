"""OneSignal: tags of users by external id, one user a call."""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import quote

import httpx

from orchestration.activation.destinations.client import Client, limiter, said
from orchestration.activation.destinations.interface import (
    TAKEN,
    Destination,
    Limits,
    Outcome,
    Patience,
    Problem,
    Row,
    Target,
    Value,
    rejected,
)
from orchestration.activation.destinations.options import wrong_url
from orchestration.activation.destinations.pieces import in_pieces

URL = "https://api.onesignal.com"
_APP = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: Names that OneSignal's messages use for things of their own.
_RESERVED = frozenset(
    ("app", "custom_data", "data_feed", "dynamic_content", "journey", "message", "notification", "org", "subscription")
) | {"template", "user"}


class OneSignal(Destination):
    """Users known by external id = user_id. Nobody is made a user, and no subscription is touched."""

    type = "onesignal"
    options: ClassVar[Mapping[str, bool]] = {"app": True, "tag_limit": False, "url": False}
    secrets = ("key_env",)
    limits = Limits(rows=50, concurrency=16)
    #: 90 % of 1,000 calls a second an app, and of one a second a user.
    rates: ClassVar[Mapping[str, tuple[tuple[int, float], ...]]] = {"app": ((900, 1.0),), "user": ((1, 1.12),)}

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        super().__init__(name, options, patience)
        ((calls, seconds),) = self.rates["user"]
        self._turns = _Turns(seconds / calls)
        # a second try is a second call for the same user
        first_wait = max(self.patience.first_wait, seconds / calls)
        self._client = Client(
            name,
            str(options.get("url", URL)),
            {"Authorization": f"Key {self.secret('key_env')}"},
            replace(self.patience, first_wait=first_wait),
        )
        self._rate = limiter(*self.rates["app"])
        self._path = f"/apps/{quote(str(options['app']), safe='')}/users/by/external_id/"

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return names that are OneSignal's own, and more tags than its plan takes (if ``tag_limit`` says how many)."""
        problems = wrong_url(options)
        if not _APP.fullmatch(str(options.get("app", ""))):
            problems.append(
                Problem(("options", "app"), "Write the id of the app at OneSignal: 8-4-4-4-12 hexadecimal digits.")
            )
        for audience, names in attributes.items():
            problems += [
                Problem(("attributes", audience, name), f"OneSignal's messages use {name!r}: map it to another.")
                for name in names
                if name in _RESERVED or not name
            ]
        most, tags = options.get("tag_limit"), {name for names in attributes.values() for name in names}
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            problems.append(
                Problem(("options", "tag_limit"), "Write how many tags a user may have by your plan at OneSignal.")
            )
        elif most is not None and len(tags) > most:
            problems.append(
                Problem(("options", "tag_limit"), f"{len(tags)} tags are mapped, {most} a user are allowed: map fewer.")
            )
        return problems

    def refuse(self, target: Target, row: Row) -> str | None:
        """Return a code for an empty text, which would unset the tag, and for what can't be said."""
        if row.key in (".", ".."):
            return "key_is_no_part_of_an_address"
        for name, value in row.attributes.items():
            if value == "":
                return f"empty_text:{name}"
            if isinstance(value, float) and not math.isfinite(value):
                return f"no_number:{name}"
        return None

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Set the tags of each user. One whom OneSignal does not know is tried again next time."""
        return in_pieces(rows, 1, lambda piece: self._patch(piece[0], rejected("unknown_user", is_permanent=False)))

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Unset the tags of each user."""
        return in_pieces(rows, 1, lambda piece: self._patch(piece[0], TAKEN))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _patch(self, row: Row, if_unknown: Outcome) -> dict[str, Outcome]:
        tags = {name: _tag(value) for name, value in row.attributes.items()}
        if not tags:
            return {row.key: TAKEN}
        self._turns.take(row.key)
        try:
            answer = self._client.call(
                "PATCH",
                self._path + quote(row.key, safe=""),
                rate=self._rate,
                expected=(400, 404, 409),
                json={"properties": {"tags": tags}},
            )
        finally:
            self._turns.end(row.key)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return {row.key: if_unknown}
        body = said(answer)
        if answer.is_success and not body.get("errors"):
            return {row.key: TAKEN}
        # a conflict passes, or the plan is changed; a user's tags that are malformed stay so
        is_permanent = answer.status_code == httpx.codes.BAD_REQUEST
        return {row.key: rejected(_code(body) or f"http_{answer.status_code}", is_permanent)}


class _Turns:
    """Lets a user have a call only so many seconds after the one before."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._lock = seconds, threading.Lock()
        #: When those who had one lately may have the next, about the first to come first.
        self._next: dict[str, float] = {}

    def take(self, key: str) -> None:
        """Wait for the turn of a user."""
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next.get(key, now))
            self._set(key, at, now)
        time.sleep(at - now)

    def end(self, key: str) -> None:
        """Say that the call was made by now: it may have waited for the app's rate, or been tried again."""
        with self._lock:
            now = time.monotonic()
            self._set(key, now, now)

    def _set(self, key: str, at: float, now: float) -> None:
        self._next[key] = max(at + self._seconds, self._next.pop(key, 0.0))
        for first, due in list(islice(self._next.items(), 2)):
            if due <= now:
                del self._next[first]


def _tag(value: Value) -> str:
    """Return a value as OneSignal keeps it: as text, of which the empty one unsets."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _code(body: Mapping[str, Any]) -> str | None:
    """Return the code of the first error, if it has one."""
    errors = body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    return str(first["code"]) if isinstance(first, dict) and first.get("code") else None
