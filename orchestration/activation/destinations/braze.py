"""Braze: custom attributes by external id, only those that changed; and an event a planned contact, never twice."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx

from orchestration import clock
from orchestration.activation.destinations.client import Client, limiter, reset_at, said
from orchestration.activation.destinations.interface import (
    ACCEPTED,
    PENDING,
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

_MOST, _LONGEST = 75, 255
#: Words of Braze's messages that say what is wrong with a row for ever, and what we call it.
_PERMANENT = (
    ("blacklisted", "user_disallowed"),
    ("disallowed", "user_disallowed"),
    ("required", "field_missing"),
    ("too long", "value_too_long"),
    ("invalid", "value_invalid"),
    ("not valid", "value_invalid"),
    ("not a valid", "value_invalid"),
    ("must be", "value_invalid"),
)
#: Fields of a profile that are Braze's own, consent among them: no attribute of ours has such a name.
_RESERVED = re.compile(
    r"|[_$].*|alias_name|attributed_(adgroup|campaign|source)|braze_id|country|current_location|dob"
    r"|date_of_(first|last)_session|email(_subscribe|_(click|open)_tracking_disabled)?|external_id|facebook|first_name"
    r"|gender|home_city|image_url|language|last_name|marked_email_as_spam_at|phone|push_(subscribe|tokens|token_import)"
    r"|sms_subscribe|subscription_(groups|group_id|state)|time_zone|twitter|user_alias(es)?"
)


class Braze(Destination):
    """Profiles known by external id = user_id. No address and no subscription is ever sent.

    A row with ``once`` gets its event after its attributes were taken, in a call that is made once. As long as the
    event has certainly not been sent, such a row comes back pending or rejected; if it may have been, unknown.
    """

    type = "braze"
    options: ClassVar[Mapping[str, bool]] = {"url": True, "rows": False, "update_existing_only": False}
    audience_options: ClassVar[Mapping[str, bool]] = {"event": False}
    secrets = ("key_env",)
    #: 90 % of 3,000 calls in 3 seconds.
    rates: ClassVar[Mapping[str, tuple[tuple[int, float], ...]]] = {"track": ((2700, 3.0),)}

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        super().__init__(name, options, patience)
        self.limits = Limits(rows=int(options.get("rows", _MOST)), concurrency=8)
        headers = {"Authorization": f"Bearer {self.secret('key_env')}"}
        self._client = Client(name, str(options["url"]), headers, self.patience, reset_at("x-ratelimit-reset"))
        self._rate = limiter(*self.rates["track"])
        self._only_known = options.get("update_existing_only") in (True, "true")

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return what Braze does not take, and names that are Braze's own fields."""
        problems = wrong_url(options)
        rows = options.get("rows", _MOST)
        if not isinstance(rows, int) or isinstance(rows, bool) or not 1 <= rows <= _MOST:
            problems.append(
                Problem(("options", "rows"), f"Write a whole number from 1 to {_MOST}; 50 where Braze bills by users.")
            )
        if options.get("update_existing_only", "false") not in (True, False, "true", "false"):
            problems.append(Problem(("options", "update_existing_only"), "Write true or false."))
        for audience, names in attributes.items():
            for name in names:
                if _RESERVED.fullmatch(name):
                    problems.append(
                        Problem(
                            ("attributes", audience, name),
                            f"{name!r} is a field of Braze's own: map it to another name.",
                        )
                    )
                elif len(name) > _LONGEST:
                    problems.append(
                        Problem(("attributes", audience, name), f"Braze takes names of at most {_LONGEST} characters.")
                    )
        return problems

    def refuse(self, target: Target, row: Row) -> str | None:
        """Return a code for texts that Braze would cut, and for numbers that JSON lacks."""
        for name, value in row.attributes.items():
            if isinstance(value, str) and len(value) > _LONGEST:
                return f"text_too_long:{name}"
            if isinstance(value, float) and not math.isfinite(value):
                return f"no_number:{name}"
        return None

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Set what changed; then send the event of those rows that were taken and have one to send."""
        event = target.options.get("event") if target.is_plan else None
        due = {row.key for row in rows if event and row.once is not None}
        try:
            outcomes = self._attributes(rows, {"_update_existing_only": True} if self._only_known else {})
        except LostAnswer as error:
            if not due:
                raise
            return {row.key: Outcome(PENDING if row.key in due else UNKNOWN, error.code) for row in rows}
        for row in rows:
            if row.key in due and outcomes[row.key].status == UNKNOWN:
                outcomes[row.key] = Outcome(PENDING, outcomes[row.key].code)
        taken = [row for row in rows if row.key in due and outcomes[row.key].status == ACCEPTED]
        return outcomes | (self._events(target, str(event), taken) if taken else {})

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Unset every attribute; nobody's profile is made for it."""
        return self._attributes(rows, {"_update_existing_only": True})

    def says_once(self, target: Target) -> bool:
        """Whether an event goes with each row of a plan list."""
        return target.is_plan and bool(target.options.get("event"))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _attributes(self, rows: Sequence[Row], flags: Mapping[str, Value]) -> dict[str, Outcome]:
        outcomes = {row.key: TAKEN for row in rows}
        changed = {
            row.key: {name: to for name, to in row.attributes.items() if row.changed is None or name in row.changed}
            for row in rows
        }
        keys = [key for key, values in changed.items() if values]
        if not keys:
            return outcomes
        answer = self._track("attributes", [{"external_id": key, **flags, **changed[key]} for key in keys])
        found = _errors(answer, "attributes", keys)
        if found is None:
            # sent again for halves of the rows: the same attributes said twice change nothing
            raise Refused("error_without_row", is_permanent=False)
        outcomes.update(found)
        if said(answer).get("message") != "success" and not answer.is_client_error:
            outcomes.update({key: Outcome(UNKNOWN, "queued") for key in keys if key not in found})
        return outcomes

    def _events(self, target: Target, event: str, rows: Sequence[Row]) -> dict[str, Outcome]:
        """Send an event a row in one call that is not repeated, and return what became of each."""
        keys = [row.key for row in rows]
        at = clock.now().isoformat(timespec="milliseconds") + "Z"
        try:
            answer = self._track(
                "events",
                [
                    {"external_id": row.key, "name": event, "time": at, "properties": _properties(target, row)}
                    for row in rows
                ],
                is_repeatable=False,
            )
            found = _errors(answer, "events", keys)
        except NotTaken as error:
            return {key: Outcome(PENDING, error.code) for key in keys}
        except LostAnswer as error:
            return {key: Outcome(UNKNOWN, f"event_{error.code}") for key in keys}
        except WrongSettings:
            # the attributes of these rows are taken, and perhaps events of others; these are certainly not
            return {key: rejected("event_wrong_settings", is_permanent=False) for key in keys}
        except Refused as error:
            # nothing of a call that is refused as a whole is stored, so its halves are no repetition
            if len(rows) == 1:
                return {keys[0]: rejected(f"event_{error.code}", is_permanent=False)}
            half = len(rows) // 2
            return self._events(target, event, rows[:half]) | self._events(target, event, rows[half:])
        if found is None:
            return {key: Outcome(UNKNOWN, "event_error_without_row") for key in keys}
        outcomes = {key: Outcome(UNKNOWN, "event_queued") for key in keys}
        if said(answer).get("message") == "success":
            outcomes = dict.fromkeys(keys, TAKEN)
        refused = {key: rejected(f"event_{one.code}", one.is_permanent) for key, one in found.items()}
        return outcomes | refused

    def _track(self, what: str, objects: Sequence[Mapping[str, Any]], is_repeatable: bool = True) -> httpx.Response:
        answer = self._client.call(
            "POST",
            "/users/track",
            rate=self._rate,
            is_repeatable=is_repeatable,
            expected=(400,),
            json={what: objects},
        )
        if answer.status_code == httpx.codes.BAD_REQUEST:
            try:
                found = _errors(answer, what, range(len(objects)))
            except LostAnswer:
                found = None
            # nothing of the call is stored; it is settled only if Braze names every row
            if not found or len(found) < len(objects):
                raise Refused("http_400")
        return answer


def _errors(answer: httpx.Response, what: str, keys: Sequence[Any]) -> dict[Any, Outcome] | None:
    """Return the refusals by key; None where an error does not say which of several rows it is about."""
    found = {}
    for error in said(answer).get("errors") or ():
        index = error.get("index") if isinstance(error, dict) and error.get("input_array") == what else None
        if index is None and len(keys) == 1:
            index = 0
        if not isinstance(index, int) or not 0 <= index < len(keys):
            return None
        text = str(error.get("type", "") if isinstance(error, dict) else error).lower()
        code = next((code for word, code in _PERMANENT if word in text), None)
        found[keys[index]] = rejected(code or "refused", is_permanent=code is not None)
    return found


def _properties(target: Target, row: Row) -> dict[str, Value]:
    """Return what a message needs of a planned contact: the names without the audience that they begin with."""
    named = {name.removeprefix(f"{target.audience}_"): to for name, to in row.attributes.items() if to is not None}
    return named | {"audience": target.audience, "plan_date": target.plan_date}
