"""Batch on loopback: profiles by custom id, and audiences that are indexed a moment after they were changed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from orchestration.activation.destinations.interface import Target, Value
from tests.standins.rates import Rates, faster
from tests.standins.server import Answer, Faults, Request, StandIn

KEY, PROJECT = "batch-secret-key", "project_test"
_ATTRIBUTE = re.compile(r"(?:(date|url)\(([a-z0-9_]{1,30})\)|([a-z0-9_]{1,30}))")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


class BatchStandIn(StandIn):
    """``speed``: how many times shorter the windows of its rates are than Batch's. ``looks``: before a job is done."""

    type = "batch"
    environment = {"BATCH_KEY": KEY}
    contract = "batch-cep.reconstructed.openapi.yaml"
    server = "https://api.batch.com/2.11"
    # a bucket of 1,000 that is filled by 300 a second; 10,000 a second without a burst
    windows: Rates = {
        "update": ((1300, 1.0), (4000, 10.0)),
        "mass-update": ((10_000, 1.0),),
        "audiences": ((1, 1.0),),
    }

    def __init__(self, faults: Faults | None = None, speed: float = 1.0, looks: int = 1) -> None:
        super().__init__(faults)
        self.windows = faster(self.windows, speed)
        self.looks = looks
        self.profiles: dict[str, dict[str, Value]] = {}
        self.audiences: dict[str, set[str]] = {}
        #: What is not indexed yet, in order: token, audience, ids, and how often it will be looked at before it is.
        self.jobs: list[list[Any]] = []
        self._tokens = 0

    def options(self) -> dict[str, Any]:
        return {"project": PROJECT, "key_env": "BATCH_KEY", "url": self.url}

    def in_contract(self, request: Request) -> Request | None:
        # put together by hand from documentation, without the call that looks at an audience
        return None if request.path == "/audiences/view" else request

    def busy(self, pause: float) -> Answer:
        return Answer(429, {"error_code": "TOO_MANY_REQUESTS", "error_message": "wait a few seconds"})

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Return also who is no member but has an attribute left."""
        self._index(len(self.jobs))
        members = (
            self.audiences.get(target.options.get("audience", target.audience), set()) if target.is_plan else set()
        )
        found = {}
        for key in sorted(set(self.profiles) | members):
            profile = self.profiles.get(key, {})
            dates = {f"date({name})": name for name in names}
            held = {
                dates.get(name, name): str(value).removesuffix("T00:00:00Z") if name in dates else value
                for name, value in profile.items()
                if name in names or name in dates
            }
            if held or key in members:
                found[key] = held
        return found

    def answer(self, request: Request) -> Answer:
        if not self.need(request, Authorization=f"Bearer {KEY}", X_Batch_Project=PROJECT):
            return Answer(401, {"error_code": "AUTHENTICATION_INVALID", "error_message": "invalid key"})
        body = request.json
        match request.method, request.path:
            case "POST", "/profiles/update":
                return self._profiles("update", 200, body)
            case "POST", "/profiles/mass-update":
                return self._profiles("mass-update", 10_000, body)
            case "POST", "/audiences/create":
                return self._create(body)
            case "POST", "/audiences/update":
                return self._change(body)
            case "GET", "/audiences/view":
                return self._view(dict(request.query))
        self.problem(f"{request.method} {request.path} is no call of a sync")
        return Answer(404, {"error_code": "ROUTE_NOT_FOUND"})

    def _wrong(self, text: str) -> Answer:
        self.problem(text)
        return Answer(400, {"error_code": "MALFORMED_PARAMETER", "error_message": text})

    def _profiles(self, call: str, most: int, rows: Any) -> Answer:
        if not isinstance(rows, list) or not 1 <= len(rows) <= most:
            return self._wrong(f"{call}: not 1 to {most} rows")
        self.count(call, len(rows))
        errors = []
        for index, row in enumerate(rows):
            identifiers, attributes = row.get("identifiers"), row.get("attributes", {})
            if set(row) - {"identifiers", "attributes"}:
                self.problem(f"{call}: events, or something unknown, in a row")
            if not isinstance(identifiers, dict) or list(identifiers) != ["custom_id"]:
                return self._wrong(f"{call}: a row without one custom_id")
            key = identifiers["custom_id"]
            if not isinstance(key, str) or not key:
                return self._wrong(f"{call}: a custom_id that is no text")
            if {"$email_marketing", "$sms_marketing"} & set(attributes):
                self.problem(f"{call}: changes a subscription")
            if wrong := self._wrong_attribute(attributes):
                errors.append({"category": "attribute", "bulk_index": index, "reason": "invalid", "attribute": wrong})
            elif (refusal := self.faults.refuses(key)) == "permanent":
                errors.append({"category": "attribute", "bulk_index": index, "reason": f"{key} has an invalid value"})
            elif refusal:
                errors.append({"category": "internal", "bulk_index": index, "reason": "try again later"})
            else:
                profile = self.profiles.setdefault(key, {})
                for name, value in attributes.items():
                    if value is None:
                        profile.pop(name, None)
                    elif not isinstance(value, str) or 1 <= len(value) <= 300:  # the others are dropped silently
                        profile[name] = value
        if errors:
            return Answer(202, {"code": "SUCCESS_WITH_PARTIAL_ERRORS", "errors": errors})
        return Answer(202, {"code": "SUCCESS"})

    def _wrong_attribute(self, attributes: dict[str, Any]) -> str | None:
        if len(attributes) > 50:
            return "too_many"
        for name, value in attributes.items():
            form = _ATTRIBUTE.fullmatch(name)
            is_right = isinstance(value, str | int | float | bool | None) and form is not None
            if is_right and form[1] == "date" and value is not None:
                is_right = isinstance(value, str) and _TIME.fullmatch(value) is not None
            if not is_right:
                return name
        return None

    def _create(self, body: Any) -> Answer:
        self.count("audiences")
        name = body.get("name")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", str(name)) or body.get("type") != "custom_ids":
            return self._wrong("create: a wrong name or type")
        if name in self.audiences:
            return Answer(400, {"error_code": "AUDIENCE_ALREADY_EXISTS", "error_message": "exists"})
        self.audiences[name] = set()
        return self._queued(name, [])

    def _change(self, body: Any) -> Answer:
        self.count("audiences")
        name, ids = body.get("name"), body.get("ids")
        if name not in self.audiences:
            return Answer(404, {"error_code": "AUDIENCE_NOT_FOUND"})
        if not isinstance(ids, list) or not 1 <= len(ids) <= 10_000:
            return self._wrong("audiences/update: not 1 to 10000 ids")
        if any(one.get("action") not in ("add", "remove") or not isinstance(one.get("id"), str) for one in ids):
            return self._wrong("audiences/update: an id without action or text")
        return self._queued(name, [(one["action"], one["id"]) for one in ids])

    def _queued(self, name: str, ids: list[tuple[str, str]]) -> Answer:
        self._tokens += 1
        token = f"token{self._tokens}"
        self.jobs.append([token, name, ids, self.looks])
        return Answer(202, {"indexing_token": token})

    def _view(self, query: dict[str, str]) -> Answer:
        self.count("audiences")
        name, token = query.get("name"), query.get("indexing_token")
        if name not in self.audiences:
            return Answer(404, {"error_code": "AUDIENCE_NOT_FOUND"})
        state = "APPLIED"
        for place, job in enumerate(self.jobs):
            if job[0] == token:
                job[3] -= 1
                if job[3] < 0:
                    self._index(place + 1)
                else:
                    state = "IN_PROGRESS"
                break
        return Answer(200, {"name": name, "nb_ids": len(self.audiences[name]), "indexing_state": state})

    def _index(self, jobs: int) -> None:
        done, self.jobs = self.jobs[:jobs], self.jobs[jobs:]
        for _, name, ids, _ in done:
            for action, key in ids:
                (self.audiences[name].add if action == "add" else self.audiences[name].discard)(key)
