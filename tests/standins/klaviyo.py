"""Klaviyo on loopback: profiles by external_id, lists, imports in bulk with their errors as a resource of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from orchestration.activation.destinations.interface import Target, Value
from tests.standins.fields import field_names
from tests.standins.jobs import Jobs
from tests.standins.server import Answer, Faults, Request, StandIn

KEY = "pk_5d1c0ffee"
_CONSENT = re.compile(r"subscri|suppress|consent", re.IGNORECASE)
_INVALID = {"errors": [{"status": 400, "code": "invalid", "source": {"pointer": "/data"}}]}
_NOT_FOUND = {"errors": [{"status": 404, "code": "not_found"}]}
_FEW, _MANY = ((10, 1.0), (150, 60.0)), ((75, 1.0), (750, 60.0))


class KlaviyoStandIn(StandIn):
    """``lists`` are those of the account; ``names_rows``: whether an error says which row it is about."""

    type = "klaviyo"
    contract = "klaviyo.openapi.json"
    environment = {"KLAVIYO_API_KEY": KEY}
    windows = {"jobs": _FEW, "job": _FEW, "errors": _FEW, "removals": _FEW, "profiles": _MANY, "members": _MANY}
    contract = "klaviyo.openapi.json"
    server = "https://a.klaviyo.com"

    def __init__(
        self,
        faults: Faults | None = None,
        second: float = 1.0,
        lists: Iterable[str] = ("L0", "L1", "L2", "L3", "L4"),
        names_rows: bool = True,
    ) -> None:
        super().__init__(faults, second)
        self.jobs, self.names_rows = Jobs(), names_rows
        self.lists: dict[str, set[str]] = {name: set() for name in lists}
        self.profiles: dict[str, dict[str, Any]] = {}

    def options(self) -> dict[str, Any]:
        return {"api_key_env": "KLAVIYO_API_KEY", "url": self.url}

    def audience_options(self, audience: str) -> dict[str, Any]:
        return {"list": f"L{sum(audience.encode()) % 5}"}

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        self.jobs.finish()
        properties = {
            key: {name: profile["properties"][name] for name in names if name in profile["properties"]}
            for key, profile in self.profiles.items()
        }
        if "list" in target.options:
            members = self.lists[str(target.options["list"])]
            return {key: had for key, had in properties.items() if self.profiles[key]["id"] in members}
        return {key: had for key, had in properties.items() if had}

    def answer(self, request: Request) -> Answer:
        if not self.need(request, authorization=f"Klaviyo-API-Key {KEY}"):
            return Answer(401, {"errors": [{"code": "not_authenticated"}]})
        right = self.need(request, accept="application/vnd.api+json")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d", request.headers.get("revision", "")):
            self.problem(f"{request.method} {request.path}: no revision")
            right = False
        if request.body:
            right &= self.need(request, content_type="application/vnd.api+json")
        if not right:
            return Answer(400, _INVALID)
        parts = [unquote(part) for part in request.path.removeprefix("/api/").split("/")]
        if any(_CONSENT.search(name) for name in (*field_names(request.json), parts[0])):
            self.problem(f"{request.method} {request.path}: changes consent")
            return Answer(400, _INVALID)
        match (request.method, *parts):
            case "POST", "profile-bulk-import-jobs":
                self.count("jobs")
                return self._import(request)
            case "GET", "profile-bulk-import-jobs", number:
                self.count("job")
                return self._job(number)
            case "GET", "profile-bulk-import-jobs", number, "import-errors":
                self.count("errors")
                return self._errors(number, request)
            case "POST", "profile-import":
                self.count("profiles")
                return self._one(request.json)
            case "DELETE", "lists", name, "relationships", "profiles":
                self.count("removals")
                return self._take_out(name, request.json)
            case "GET", "lists", name, "relationships", "profiles":
                self.count("members")
                self.jobs.finish()
                if name not in self.lists:
                    return Answer(404, _NOT_FOUND)
                members = sorted(self.lists[name])[: int(request.query.get("page[size]", 20))]
                return Answer(200, {"data": [{"type": "profile", "id": one} for one in members]})
        self.problem(f"{request.method} {request.path}: no such call")
        return Answer(404, _NOT_FOUND)

    def _is_right(self, profile: Any) -> bool:
        attributes = profile.get("attributes") if isinstance(profile, dict) else None
        if not isinstance(attributes, dict) or profile.get("type") != "profile":
            return False
        properties = attributes.get("properties", {})
        unset = profile.get("meta", {}).get("patch_properties", {}).get("unset", [])
        return (
            isinstance(attributes.get("external_id"), str)
            and all(isinstance(attributes.get(name, ""), str) for name in ("email", "phone_number"))
            and isinstance(properties, dict)
            and not any(name.startswith("$") for name in (*properties, *unset))
        )

    def _import(self, request: Request) -> Answer:
        data = request.json.get("data", {})
        rows = data.get("attributes", {}).get("profiles", {}).get("data")
        lists = [one.get("id") for one in data.get("relationships", {}).get("lists", {}).get("data", [])]
        if data.get("type") != "profile-bulk-import-job" or not isinstance(rows, list):
            self.problem("an import that is none")
        elif len(rows) > 10_000 or len(request.body) > 5_000_000:
            self.problem("an import of more than 10,000 profiles or 5 MB")
        elif not all(self._is_right(row) for row in rows):
            self.problem("an import of what is no profile")
        elif any(name not in self.lists for name in lists):
            return Answer(404, _NOT_FOUND)
        else:
            verdicts = [self.faults.refuses(row["attributes"]["external_id"]) for row in rows]
            number = self.jobs.add(lambda: self._done(rows, lists, verdicts))
            return Answer(202, self._as_job(number, "queued", 0))
        return Answer(400, _INVALID)

    def _done(
        self, rows: Sequence[Mapping[str, Any]], lists: Sequence[str], verdicts: Sequence[str | None]
    ) -> list[dict[str, Any]]:
        errors: list[dict[str, Any]] = []
        for at, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
            if verdict is None:
                profile, _ = self._keep(row, takes_null=False)
                for name in lists:
                    self.lists[name].add(profile["id"])
                continue
            what = {"code": "invalid" if verdict == "permanent" else "internal_error", "title": "", "detail": ""}
            pointer = f"/data/attributes/profiles/data/{at}/attributes/email" if self.names_rows and at % 2 else "/data"
            payload = dict(row["attributes"]) if self.names_rows and not at % 2 else None
            errors.append(
                {
                    "type": "import-error",
                    "id": str(at),
                    "attributes": {**what, "source": {"pointer": pointer}, "original_payload": payload},
                }
            )
        return errors

    def _keep(self, row: Mapping[str, Any], takes_null: bool) -> tuple[dict[str, Any], bool]:
        attributes = row["attributes"]
        key = attributes["external_id"]
        is_new = key not in self.profiles
        profile = self.profiles.setdefault(key, {"id": f"01P{len(self.profiles):07d}", "properties": {}})
        profile |= {name: attributes[name] for name in ("email", "phone_number") if name in attributes}
        for name, value in (attributes.get("properties") or {}).items():
            if value is not None:
                profile["properties"][name] = value
            elif takes_null:
                profile["properties"].pop(name, None)
        for name in row.get("meta", {}).get("patch_properties", {}).get("unset", []):
            profile["properties"].pop(name, None)
        return profile, is_new

    def _as_job(self, number: int, status: str, failed: int) -> dict[str, Any]:
        attributes = {"status": status, "created_at": "2026-03-01T00:00:00+00:00", "total_count": 1}
        return {
            "data": {
                "type": "profile-bulk-import-job",
                "id": f"job/{number}",
                "attributes": {**attributes, "failed_count": failed},
            }
        }

    def _job(self, name: str) -> Answer:
        number = int(name.removeprefix("job/"))
        if not self.jobs.has(number):
            return Answer(404, _NOT_FOUND)
        is_done, errors = self.jobs.look(number)
        return Answer(200, self._as_job(number, "complete" if is_done else "processing", len(errors or ())))

    def _errors(self, name: str, request: Request) -> Answer:
        _, errors = self.jobs.look(int(name.removeprefix("job/")))
        first, most = int(request.query.get("page[cursor]", 0)), int(request.query.get("page[size]", 20))
        if most > 100:
            self.problem("more than 100 errors in a page")
        following = f"{self.url}{request.path}?page%5Bcursor%5D={first + most}" if first + most < len(errors) else None
        return Answer(200, {"data": errors[first : first + most], "links": {"next": following}})

    def _one(self, body: Mapping[str, Any]) -> Answer:
        self.jobs.finish()
        if not self._is_right(body.get("data")):
            self.problem("no profile")
            return Answer(400, _INVALID)
        if self.faults.refuses(body["data"]["attributes"]["external_id"]) == "temporary":
            return Answer(409, {"errors": [{"code": "conflict"}]})
        profile, is_new = self._keep(body["data"], takes_null=True)
        return Answer(201 if is_new else 200, {"data": {"type": "profile", "id": profile["id"]}})

    def _take_out(self, name: str, body: Mapping[str, Any]) -> Answer:
        self.jobs.finish()
        members = body.get("data")
        if not isinstance(members, list) or len(members) > 1000 or not all("id" in one for one in members):
            self.problem("a removal of more than 1,000, or of nobody")
            return Answer(400, _INVALID)
        if name not in self.lists:
            return Answer(404, _NOT_FOUND)
        self.lists[name].difference_update(str(one["id"]) for one in members)
        return Answer(204)
