"""Braze on loopback: attributes and events by external id, and errors that name no row unless asked to."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestration.activation.destinations.interface import Target, Value
from tests.standins.rates import Rates, faster
from tests.standins.server import Answer, Faults, Request, StandIn

KEY = "braze-secret-key"
#: What changes consent or a subscription, or where a message goes.
_CONSENT = {
    "email_subscribe",
    "push_subscribe",
    "sms_subscribe",
    "subscription_groups",
    "push_tokens",
    "email",
    "phone",
}
_FLAGS = {"external_id", "_update_existing_only"}


class BrazeStandIn(StandIn):
    """``says_row``: whether an error has the index of its row. ``bad_events``: whose events are refused."""

    type = "braze"
    environment = {"BRAZE_KEY": KEY}
    contract = "braze.openapi.json"
    server = "https://rest.fra-01.braze.eu"
    windows: Rates = {"track": ((3000, 3.0),)}

    def __init__(
        self,
        faults: Faults | None = None,
        speed: float = 1.0,
        says_row: bool = False,
        bad_events: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(faults)
        self.windows = faster(self.windows, speed)
        self.says_row, self.bad_events, self.event = says_row, bad_events, "planned_contact"
        self.profiles: dict[str, dict[str, Value]] = {}
        #: Every event as stored: one that is sent twice is here twice.
        self.events: list[Mapping[str, Any]] = []
        #: How many attributes were sent: each is billed.
        self.billed = 0

    def options(self) -> dict[str, Any]:
        return {"url": self.url, "key_env": "BRAZE_KEY"}

    def audience_options(self, audience: str) -> dict[str, Any]:
        return {"event": self.event}

    def busy(self, pause: float) -> Answer:
        # an epoch second; with decimals here, so that tests need not wait for the next one
        return Answer(429, {"message": "too many"}, {"X-RateLimit-Reset": f"{time.time() + pause:.3f}"})

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        held = {
            key: {name: value for name, value in profile.items() if name in names}
            for key, profile in sorted(self.profiles.items())
        }
        return {key: values for key, values in held.items() if values}

    def answer(self, request: Request) -> Answer:
        if request.method != "POST" or request.path != "/users/track":
            self.problem(f"{request.method} {request.path} is no call of a sync")
            return Answer(404, {"message": "not found"})
        if not self.need(request, Authorization=f"Bearer {KEY}"):
            return Answer(401, {"message": "Invalid API Key"})
        self.need(request, Content_Type="application/json")
        self.count("track")
        body = request.json
        if not isinstance(body, dict) or not body or set(body) - {"attributes", "events"}:
            return self._wrong("users/track: something but attributes and events")
        for what, objects in body.items():
            if not isinstance(objects, list) or not 1 <= len(objects) <= 75:
                return self._wrong(f"users/track: not 1 to 75 {what}")
        errors, said = [], {}
        for what, objects in body.items():
            wrong = [self._attribute(one) if what == "attributes" else self._event(one) for one in objects]
            said[f"{what}_processed"] = wrong.count(None)
            errors += [
                {"type": text} | ({"input_array": what, "index": index} if self.says_row else {})
                for index, text in enumerate(wrong)
                if text is not None
            ]
        if errors and not any(said.values()):
            return Answer(400, {"message": "Valid data must be provided in the 'attributes' field.", "errors": errors})
        return Answer(201, {"message": "success"} | said | ({"errors": errors} if errors else {}))

    def _wrong(self, text: str) -> Answer:
        self.problem(text)
        return Answer(400, {"message": text})

    def _attribute(self, one: Any) -> str | None:
        """Take an object with attributes; return what is wrong with it."""
        key = one.get("external_id")
        if not isinstance(key, str) or not key:
            self.problem("users/track: an object without external_id as text")
            return "'external_id' or 'braze_id' or 'user_alias' is required"
        values = {name: value for name, value in one.items() if name not in _FLAGS}
        if _CONSENT & set(values) or any(name.startswith(("$", "_")) for name in values):
            self.problem("users/track: an attribute that is consent, an address or a flag")
        self.billed += len(values)
        if refusal := self.faults.refuses(key):
            return f"The value for {key} is not valid." if refusal == "permanent" else "Something went wrong."
        if any(not isinstance(value, str | int | float | bool | None) for value in values.values()):
            self.problem("users/track: a value of no type that we send")
            return "The value provided is not valid."
        if one.get("_update_existing_only") is True and key not in self.profiles:
            return None
        profile = self.profiles.setdefault(key, {})
        for name, value in values.items():
            if value is None:
                profile.pop(name, None)
            else:
                profile[name] = value[:255] if isinstance(value, str) else value
        return None

    def _event(self, one: Any) -> str | None:
        try:
            is_right = (
                math.isfinite(datetime.fromisoformat(one["time"]).timestamp()) and one["external_id"] and one["name"]
            )
        except (KeyError, TypeError, ValueError):
            is_right = False
        if not is_right:
            self.problem("users/track: an event without external_id, name or time")
            return "'time' is required"
        if one["external_id"] in self.bad_events:
            return "The event name is not valid."
        self.events.append(one)
        return None
