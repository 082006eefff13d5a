"""Brevo on loopback: contacts by EXT_ID, lists, imports in the background with reports of what they left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from orchestration.activation.destinations.interface import Target, Value
from tests.standins.fields import field_names
from tests.standins.jobs import Jobs, WithFiles
from tests.standins.server import Answer, Faults, Request

KEY = "xkeysib-5d1c0ffee"
_CONSENT = re.compile(r"black|unsub|subscri|unlinkListIds|newList|notifyUrl", re.IGNORECASE)
_INVALID = {"code": "invalid_parameter", "message": "Invalid parameter"}
_NOT_FOUND = {"code": "document_not_found", "message": "Contact does not exist"}


class BrevoStandIn(WithFiles):
    """``lists`` are those of the account; ``stuck`` are EXT_IDs that a list does not let go of."""

    type = "brevo"
    contract = "brevo.openapi.json"
    environment = {"BREVO_API_KEY": KEY}
    windows = {"contacts": ((10, 1.0), (36_000, 3600.0)), "others": ((100, 3600.0),)}
    contract = "brevo.openapi.json"
    server = "https://api.brevo.com"

    def __init__(self, faults: Faults | None = None, second: float = 1.0, lists: Iterable[int] = range(1, 10)) -> None:
        super().__init__(faults, second)
        self.jobs, self.stuck = Jobs(), frozenset[str]()
        self.lists: dict[int, set[str]] = {number: set() for number in lists}
        self.contacts: dict[str, dict[str, Any]] = {}

    def options(self) -> dict[str, Any]:
        return {"api_key_env": "BREVO_API_KEY", "url": f"{self.url}/v3"}

    def audience_options(self, audience: str) -> dict[str, Any]:
        return {"list": 1 + sum(audience.encode()) % 9}

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        self.jobs.finish()
        return {
            key: {
                name: self.contacts[key]["attributes"][name.upper()]
                for name in names
                if self.contacts[key]["attributes"].get(name.upper()) is not None
            }
            for key in self.lists[int(target.options["list"])]
        }

    def busy(self, pause: float) -> Answer:
        return Answer(429, {"message": "too many requests"}, {"x-sib-ratelimit-reset": f"{pause:.4f}"})

    def answer(self, request: Request) -> Answer:
        if not self.need(request, api_key=KEY):
            return Answer(401, {"code": "unauthorized", "message": "Key not found"})
        self.count("contacts" if request.path.startswith("/v3/contacts") else "others")
        if request.method == "DELETE" or any(_CONSENT.search(name) for name in field_names(request.json)):
            self.problem(f"{request.method} {request.path}: changes consent, lists by the way or deletes")
            return Answer(400, _INVALID)
        parts = [unquote(part) for part in request.path.removeprefix("/v3/").split("/")]
        match (request.method, *parts):
            case "POST", "contacts", "import":
                return self._import(request)
            case "GET", "processes", number:
                return self._process(number)
            case "GET", "contacts", "lists", number:
                known = int(number) in self.lists
                return Answer(200, {"id": int(number), "name": "list"}) if known else Answer(404, _NOT_FOUND)
            case "GET", "contacts", "lists", number, "contacts":
                return self._members(int(number), request.query)
            case "POST", "contacts", "lists", number, "contacts", "remove":
                return self._take_out(int(number), request)
            case (("GET" | "PUT"), "contacts", key):
                return self._contact(key, request)
        self.problem(f"{request.method} {request.path}: no such call")
        return Answer(404, _NOT_FOUND)

    def _import(self, request: Request) -> Answer:
        body = request.json
        rows = body.get("jsonBody")
        right = isinstance(rows, list) and all(
            isinstance(row, dict)
            and isinstance(row.get("attributes"), dict)
            and isinstance(row.get("email", ""), str)
            and (row.get("email") or row["attributes"].get("EXT_ID") or row["attributes"].get("SMS"))
            for row in rows
        )
        lists = body.get("listIds")
        if not right or not lists or request.headers.get("content-type") != "application/json":
            self.problem("an import without rows, identifiers, lists or a type")
            return Answer(400, _INVALID)
        if len(request.body) > 10_000_000:
            self.problem("an import of more than 10 MB")
            return Answer(413, _INVALID)
        if any(number not in self.lists for number in lists):
            return Answer(400, _INVALID)
        verdicts = [self.faults.refuses(str(row["attributes"].get("EXT_ID"))) for row in rows]
        number = self.jobs.add(lambda: self._done(body, verdicts))
        return Answer(202, {"processId": number})

    def _done(self, body: Mapping[str, Any], verdicts: Sequence[str | None]) -> dict[str, list[str]]:
        rows = body["jsonBody"]
        # rows become lines of one table: what a row does not name is empty there
        columns = {name for row in rows for name in row["attributes"]}
        left_out: dict[str, list[str]] = {}
        for row, verdict in zip(rows, verdicts, strict=True):
            key = row["attributes"]["EXT_ID"]
            if verdict is not None:
                kind = "invalid_emails" if verdict == "permanent" else "duplicate_email_id"
                left_out.setdefault(kind, []).append(f"{row.get('email', '')};{key}")
                continue
            contact = self.contacts.setdefault(key, {"attributes": {}})
            contact["email"] = row.get("email", contact.get("email"))
            for name in columns:
                value = row["attributes"].get(name)
                if value not in (None, ""):
                    contact["attributes"][name] = value
                elif body.get("emptyContactsAttributes"):
                    contact["attributes"].pop(name, None)
            for number in body["listIds"]:
                self.lists[number].add(key)
        return left_out

    def _process(self, text: str) -> Answer:
        if not text.isdigit() or not self.jobs.has(int(text)):
            return Answer(404, _NOT_FOUND)
        said = {"id": int(text), "name": "IMPORTUSER"}
        is_done, left_out = self.jobs.look(int(text))
        if not is_done:
            return Answer(200, {**said, "status": "queued"})
        links: dict[str, str | None] = {"invalid_emails": None, "duplicate_email_id": None}
        for kind, lines in left_out.items():
            links[kind] = self.keep_file(f"{text}_{kind}.csv", ["EMAIL;EXT_ID", *lines])
        return Answer(200, {**said, "status": "completed", "info": {"import": links}})

    def _members(self, number: int, query: Mapping[str, str]) -> Answer:
        self.jobs.finish()
        if number not in self.lists:
            return Answer(404, _NOT_FOUND)
        first, most = int(query.get("offset", 0)), int(query.get("limit", 50))
        if most > 500:
            self.problem("more than 500 members in a page")
        keys = sorted(self.lists[number])
        members = [{"id": 1, "attributes": self.contacts[key]["attributes"]} for key in keys[first : first + most]]
        return Answer(200, {"count": len(keys), "contacts": members})

    def _take_out(self, number: int, request: Request) -> Answer:
        self.jobs.finish()
        keys = request.json.get("extIds")
        if not isinstance(keys, list) or not 1 <= len(keys) <= 150 or not all(isinstance(key, str) for key in keys):
            self.problem("a removal without EXT_IDs, or of more than 150")
            return Answer(400, _INVALID)
        if number not in self.lists:
            return Answer(404, _NOT_FOUND)
        there = [key for key in keys if key in self.lists[number] and key not in self.stuck]
        if not there:
            return Answer(400, {"code": "invalid_parameter", "message": "already removed or does not exist"})
        self.lists[number].difference_update(there)
        return Answer(
            201, {"contacts": {"success": there, "failure": [key for key in keys if key not in there], "total": None}}
        )

    def _contact(self, key: str, request: Request) -> Answer:
        self.jobs.finish()
        if request.query.get("identifierType") != "ext_id":
            self.problem("a contact asked for by something else than EXT_ID")
        contact = self.contacts.get(key)
        if contact is None:
            return Answer(404, _NOT_FOUND)
        if request.method == "GET":
            lists = [number for number, members in self.lists.items() if key in members]
            return Answer(200, {"id": 1, "attributes": contact["attributes"], "listIds": lists})
        if self.faults.refuses(key) == "temporary":
            return Answer(400, _INVALID)
        for name, value in request.json["attributes"].items():
            if value == "":
                contact["attributes"].pop(name, None)
            elif value is None:
                self.problem("an attribute set to null")
            else:
                contact["attributes"][name] = value
        return Answer(204)
