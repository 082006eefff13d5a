"""OneSignal on loopback: tags of users by external id."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from orchestration.activation.destinations.interface import Target, Value
from tests.standins.rates import Rates, faster
from tests.standins.server import Answer, Faults, Request, StandIn

KEY, APP = "onesignal-secret-key", "7b2c1f0e-0000-4000-8000-123456789abc"
_PATH = f"/apps/{APP}/users/by/external_id/"


class OneSignalStandIn(StandIn):
    """``known``: who has met the app; None: everybody has. ``tag_limit``: tags a user by the plan."""

    type = "onesignal"
    environment = {"ONESIGNAL_KEY": KEY}
    contract = "onesignal.openapi.json"
    server = "https://api.onesignal.com"
    windows: Rates = {"app": ((1000, 1.0),), "user": ((1, 1.0),)}

    def __init__(
        self,
        faults: Faults | None = None,
        speed: float = 1.0,
        known: Collection[str] | None = None,
        tag_limit: int = 100,
    ) -> None:
        super().__init__(faults)
        self.windows = faster(self.windows, speed)
        self.known, self.tag_limit = known, tag_limit
        self.users: dict[str, dict[str, str]] = {}
        self._called: dict[str, float] = {}

    def options(self) -> dict[str, Any]:
        return {"app": APP, "key_env": "ONESIGNAL_KEY", "url": self.url}

    def in_contract(self, request: Request) -> Request | None:
        # which says Bearer, where the API takes Key
        headers = {
            **request.headers,
            "authorization": request.headers.get("authorization", "").replace("Key", "Bearer", 1),
        }
        return replace(request, headers=headers)

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Return tags as they were before they were made text; a text that looks like a number is taken for one."""
        held = {
            key: {name: _value(tag) for name, tag in tags.items() if name in names}
            for key, tags in sorted(self.users.items())
        }
        return {key: values for key, values in held.items() if values}

    def answer(self, request: Request) -> Answer:
        if request.method != "PATCH" or not request.path.startswith(_PATH) or "/" in request.path[len(_PATH) :]:
            self.problem(f"{request.method} {request.path} is no call of a sync")
            return Answer(404, {"errors": [{"code": "not-found", "title": "not found"}]})
        if not self.need(request, Authorization=f"Key {KEY}"):
            return Answer(403, {"errors": ["wrong key"]})
        self.need(request, Content_Type="application/json")
        key = unquote(request.path[len(_PATH) :])
        self.count("app")
        self._count_user(key, request.at)
        body = request.json
        tags = body.get("properties", {}).get("tags") if isinstance(body, dict) else None
        if not isinstance(tags, dict) or list(body) != ["properties"] or list(body["properties"]) != ["tags"]:
            self.problem("PATCH of something but tags")
            return Answer(400, {"errors": [{"code": "malformed", "title": "malformed"}]})
        if any(not isinstance(tag, str) for tag in tags.values()):
            self.problem("a tag that is no text")
            return Answer(400, {"errors": [{"code": "invalid-tags", "title": "tags must be strings"}]})
        if self.known is not None and key not in self.known:
            return Answer(404, {"errors": [{"code": "user-not-found", "title": f"no user {key}"}]})
        if refusal := self.faults.refuses(key):
            return _refusal(refusal, key)
        held = self.users.get(key, {}) | tags
        held = {name: tag for name, tag in held.items() if tag != ""}
        if len(held) > self.tag_limit:
            return Answer(
                409, {"errors": [{"code": "entitlements-tag-limit", "title": "more tags than your plan has"}]}
            )
        self.users[key] = held
        return Answer(202, {"properties": {"tags": held}})

    def _count_user(self, key: str, at: float) -> None:
        ((_, seconds),) = self.windows["user"]
        if at - self._called.get(key, -1e9) < seconds:
            self.problem(f"user: 2 calls in {seconds} s, 1 is allowed")
        self._called[key] = at


def _refusal(kind: str, key: str) -> Answer:
    if kind == "permanent":
        return Answer(400, {"errors": [{"code": "invalid-tags", "title": f"the tags of {key} are invalid"}]})
    return Answer(409, {"errors": [{"code": "conflict", "title": "another update goes on"}]})


def _value(tag: str) -> Value:
    try:
        found: Mapping[str, Any] | Value = json.loads(tag)
    except ValueError:
        return tag
    return found if isinstance(found, int | float) else tag
