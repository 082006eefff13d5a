"""Batch: attributes of profiles by custom id, and one audience a plan list."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from orchestration.activation.destinations.client import Client, limiter, said
from orchestration.activation.destinations.interface import (
    ACCEPTED,
    TAKEN,
    UNKNOWN,
    Destination,
    Limits,
    LostAnswer,
    NotTaken,
    Outcome,
    Patience,
    Problem,
    Refused,
    Row,
    Target,
    Value,
    WrongSettings,
    rejected,
)
from orchestration.activation.destinations.options import wrong_url
from orchestration.activation.destinations.pieces import in_pieces

URL = "https://api.batch.com/2.11"
_NAME = re.compile(r"[a-z0-9_]{1,30}")
_AUDIENCE = re.compile(r"[A-Za-z0-9_-]{1,255}")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
#: What Batch calls the part of a row that it can't take; the same row is refused again.
_PERMANENT = frozenset({"attribute", "attributes", "event", "events", "identifier", "identifiers"})
_MOST_ATTRIBUTES, _LONGEST_TEXT, _MOST_IN_UPDATE = 50, 300, 200


class Batch(Destination):
    """Profiles known by custom id = user_id. No address and no subscription is ever sent."""

    type = "batch"
    options: ClassVar[Mapping[str, bool]] = {"project": True, "mass_update_from": False, "url": False}
    audience_options: ClassVar[Mapping[str, bool]] = {"audience": False}
    secrets = ("key_env",)
    limits = Limits(rows=10_000, concurrency=2)
    #: 90 % of what Batch allows: 300 profiles a second of a bucket that holds 1,000; 10,000 a second; a call a second.
    rates: ClassVar[Mapping[str, tuple[tuple[int, float], ...]]] = {
        "update": ((900, 3.34),),
        "mass_update": ((10_000, 1.12),),
        "audiences": ((1, 1.12),),
    }

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        super().__init__(name, options, patience)
        headers = {"Authorization": f"Bearer {self.secret('key_env')}", "X-Batch-Project": str(options["project"])}
        self._client = Client(name, str(options.get("url", URL)), headers, self.patience)
        self._mass_from = int(options.get("mass_update_from", 1000))
        self._rate = {bucket: limiter(*pairs) for bucket, pairs in self.rates.items()}

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return what Batch does not take: names other than ``[a-z0-9_]{1,30}``, or more than 50 of them at once."""
        problems = wrong_url(options)
        least = options.get("mass_update_from", 1)
        if not isinstance(least, int) or isinstance(least, bool) or least < 1:
            problems.append(Problem(("options", "mass_update_from"), "Write a whole number of rows, 1 or more."))
        for audience, names in attributes.items():
            problems += [
                Problem(
                    ("attributes", audience, name),
                    f"Batch takes names of at most 30 letters a-z, digits and _: map {name} to another.",
                )
                for name in names
                if not _NAME.fullmatch(name)
            ]
            if len(names) > _MOST_ATTRIBUTES:
                problems.append(
                    Problem(("attributes", audience), f"Batch takes {_MOST_ATTRIBUTES} attributes at once: map fewer.")
                )
        return problems

    def prepare(self, target: Target) -> None:
        """Create the audience of a plan list where Batch has none of its name."""
        if not target.is_plan:
            return
        name = _audience(target)
        if not _AUDIENCE.fullmatch(name):
            raise WrongSettings(
                f"{self.name}: {name!r} is no name of an audience at Batch.",
                "Write at most 255 letters, digits, _ and - as audience.",
            )
        if self._view(name) is not None:
            return
        try:
            self._say(name, "create", {"name": name, "display_name": name, "type": "custom_ids"})
        except Refused as error:
            # somebody else, or a call whose answer was lost, may have made it meanwhile
            if self._view(name) is None:
                raise WrongSettings(
                    f"{self.name}: Batch refuses to create the audience {name}: {error.code}.",
                    "Create it at Batch, with custom ids, or name another as audience.",
                ) from error

    def members(self, target: Target) -> Iterator[str] | None:
        """Return no keys where Batch says that nobody is in the audience; else None: it lists no members."""
        if not target.is_plan:
            return None
        found = self._view(_audience(target))
        return iter(()) if found is None or found.get("nb_ids") == 0 else None

    def refuse(self, target: Target, row: Row) -> str | None:
        """Return a code for texts that Batch drops with a 202, and for what is not what its name says."""
        for name, value in row.attributes.items():
            if isinstance(value, str) and not 1 <= len(value) <= _LONGEST_TEXT:
                return f"text_too_long:{name}" if value else f"empty_text:{name}"
            if isinstance(value, float) and not math.isfinite(value):
                return f"no_number:{name}"
            if _is_date(name) and value is not None and not (isinstance(value, str) and _DATE.fullmatch(value)):
                return f"no_date:{name}"
        return None

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Set attributes, then make those members whose attributes were taken."""
        outcomes = self._update(rows)
        taken = [row for row in rows if outcomes[row.key].status == ACCEPTED]
        if target.is_plan and taken:
            try:
                self._change(target, taken, "add")
            except (NotTaken, LostAnswer) as error:
                # their attributes are there
                outcomes.update({row.key: Outcome(UNKNOWN, error.code) for row in taken})
        return outcomes

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """End memberships, then unset attributes."""
        if target.is_plan:
            self._change(target, rows, "remove")
        return self._update(rows)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _update(self, rows: Sequence[Row]) -> dict[str, Outcome]:
        if len(rows) >= self._mass_from:
            return in_pieces(rows, self.limits.rows, lambda piece: self._profiles("mass_update", piece))
        return in_pieces(rows, _MOST_IN_UPDATE, lambda piece: self._profiles("update", piece))

    def _profiles(self, call: str, rows: Sequence[Row]) -> dict[str, Outcome]:
        body = said(
            self._client.call(
                "POST",
                f"/profiles/{call.replace('_', '-')}",
                rate=self._rate[call],
                weight=len(rows),
                json=[{"identifiers": {"custom_id": row.key}, "attributes": _attributes(row)} for row in rows],
            )
        )
        outcomes = {row.key: TAKEN for row in rows}
        if body.get("code") == "SUCCESS" and not body.get("errors"):
            return outcomes
        if body.get("code") not in ("SUCCESS", "SUCCESS_WITH_PARTIAL_ERRORS"):
            raise LostAnswer("unreadable_answer")
        errors = body.get("errors") or [{}]
        for error in errors:
            index = error.get("bulk_index")
            if not isinstance(index, int) or not 0 <= index < len(rows):
                raise Refused("error_without_row", is_permanent=False)
            part = str(error.get("category", "row"))
            code = ":".join(filter(None, (part, str(error.get("attribute", "")))))
            outcomes[rows[index].key] = rejected(code, is_permanent=part in _PERMANENT)
        return outcomes

    def _change(self, target: Target, rows: Sequence[Row], action: str) -> None:
        name = _audience(target)
        self._say(name, "update", {"name": name, "ids": [{"action": action, "id": row.key} for row in rows]})

    def _say(self, name: str, call: str, what: Mapping[str, Any]) -> None:
        """Make a call about an audience, and wait until Batch has done what it asks for."""
        answer = self._client.call("POST", f"/audiences/{call}", rate=self._rate["audiences"], json=what)
        token = said(answer).get("indexing_token")
        until = time.monotonic() + self.patience.longest_job
        while True:
            try:
                state = (self._view(name, token) or {}).get("indexing_state")
            except NotTaken as error:
                raise LostAnswer(error.code) from error
            if state == "APPLIED":
                return
            if state == "REPLACED":
                raise LostAnswer("audience_replaced")
            if time.monotonic() >= until:
                raise LostAnswer("audience_not_applied")
            time.sleep(self.patience.poll_wait)

    def _view(self, name: str, token: object = None) -> dict[str, Any] | None:
        """Return what Batch says of an audience, None where it has none of that name."""
        query = {"name": name} | ({"indexing_token": str(token)} if token else {})
        try:
            return said(self._client.call("GET", "/audiences/view", rate=self._rate["audiences"], params=query))
        except Refused:
            return None


def _audience(target: Target) -> str:
    return str(target.options.get("audience", target.audience))


def _is_date(name: str) -> bool:
    """Whether an attribute is a date at Batch: told by its name, so that unsetting it needs no value."""
    return name.endswith("_date")


def _attributes(row: Row) -> dict[str, Value]:
    return {
        f"date({name})" if _is_date(name) else name: f"{value}T00:00:00Z" if _is_date(name) and value else value
        for name, value in row.attributes.items()
    }
