"""SendGrid on loopback: marketing contacts by e-mail, custom fields, imports whose errors lie in a file."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from orchestration.activation.destinations.interface import Target, Value
from tests.standins.fields import field_names
from tests.standins.jobs import Jobs, WithFiles
from tests.standins.server import Answer, Faults, Request

KEY = "SG.5d1c0ffee"
_CONSENT = re.compile(r"suppress|unsubscri|group|list_ids|asm", re.IGNORECASE)
_IDENTIFIERS = ("email", "phone_number_id", "external_id", "anonymous_id")
_NUMBER = re.compile(r"-?\d+(\.\d+)?|true|false")


class SendGridStandIn(WithFiles):
    """``fields`` are the ids of the account's custom fields.

    Numbers are text there: `state` returns text that is one as a number.
    """

    type = "sendgrid"
    contract = "sendgrid-mc-contacts.openapi.json"
    environment = {"SENDGRID_API_KEY": KEY}
    contract = "sendgrid-mc-contacts.openapi.json"
    server = "https://api.sendgrid.com"

    def __init__(
        self,
        faults: Faults | None = None,
        second: float = 1.0,
        fields: Iterable[str] = tuple(f"e{n}_T" for n in range(1, 121)),
    ) -> None:
        super().__init__(faults, second)
        self.jobs, self.fields = Jobs(), frozenset(fields)
        self.contacts: dict[str, dict[str, Any]] = {}

    def options(self) -> dict[str, Any]:
        return {"api_key_env": "SENDGRID_API_KEY", "url": self.url}

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        self.jobs.finish()
        had = {
            key: {name: _value(contact["custom_fields"][name]) for name in names if name in contact["custom_fields"]}
            for key, contact in self.contacts.items()
        }
        return {key: fields for key, fields in had.items() if fields}

    def busy(self, pause: float) -> Answer:
        return Answer(429, {"errors": [{"message": "too many"}]}, {"X-RateLimit-Reset": f"{time.time() + pause:.4f}"})

    def answer(self, request: Request) -> Answer:
        if not self.need(request, authorization=f"Bearer {KEY}"):
            return Answer(401, {"errors": [{"message": "authorization required"}]})
        if request.method == "DELETE" or any(_CONSENT.search(name) for name in field_names(request.json)):
            self.problem(f"{request.method} {request.path}: changes consent or lists, or deletes")
            return self._wrong("forbidden")
        if request.body and not self.need(request, content_type="application/json"):
            return self._wrong("no JSON")
        match (request.method, *request.path.removeprefix("/v3/marketing/").split("/")):
            case "PUT", "contacts":
                return self._upsert(request)
            case "GET", "contacts", "imports", name:
                return self._job(unquote(name))
            case "POST", "contacts", "search", "identifiers", "email":
                return self._search(request.json)
        self.problem(f"{request.method} {request.path}: no such call")
        return Answer(404, {"errors": [{"message": "not found"}]})

    def _wrong(self, text: str) -> Answer:
        return Answer(400, {"errors": [{"message": text}]})

    def _upsert(self, request: Request) -> Answer:
        contacts = request.json.get("contacts")
        if not isinstance(contacts, list) or not 1 <= len(contacts) <= 30_000 or len(request.body) > 6_000_000:
            self.problem("no contacts, more than 30,000, or more than 6 MB")
            return self._wrong("contacts")
        for contact in contacts:
            fields = contact.get("custom_fields", {})
            if not all(isinstance(contact.get(name, ""), str) for name in _IDENTIFIERS) or not any(
                contact.get(name) for name in _IDENTIFIERS
            ):
                self.problem("a contact without an identifier")
                return self._wrong("identifier")
            if unknown := fields.keys() - self.fields:
                return self._wrong(f"invalid custom field ids supplied - {','.join(sorted(unknown))}")
            if not all(isinstance(value, str) for value in fields.values()):
                self.problem("a custom field for text that is null or no text")
                return self._wrong("custom field cannot be null")
        verdicts = [self.faults.refuses(str(contact.get("email"))) for contact in contacts]
        number = self.jobs.add(lambda: self._done(contacts, verdicts))
        return Answer(202, {"job_id": f"job/{number}"})

    def _done(self, contacts: Sequence[Mapping[str, Any]], verdicts: Sequence[str | None]) -> list[str]:
        errors = []
        for contact, verdict in zip(contacts, verdicts, strict=True):
            key = contact["email"].lower()
            known = self.contacts.setdefault(key, {"custom_fields": {}, "email": key}) if verdict is None else {}
            if verdict is not None:
                reason = "invalid email" if verdict == "permanent" else "please try again"
                errors.append(f'{contact["email"]},"{reason}"')
            elif any(name in known and known[name] != contact.get(name, "").lower() for name in _IDENTIFIERS):
                errors.append(f'{contact["email"]},"identifiers do not match"')
            else:
                known |= {name: contact[name].lower() for name in _IDENTIFIERS if contact.get(name)}
                for name, value in contact.get("custom_fields", {}).items():
                    if value:
                        known["custom_fields"][name] = value
                    else:
                        known["custom_fields"].pop(name, None)
        return errors

    def _job(self, name: str) -> Answer:
        number = int(name.removeprefix("job/"))
        if not self.jobs.has(number):
            return Answer(404, {"errors": [{"message": "not found"}]})
        is_done, errors = self.jobs.look(number)
        if not is_done:
            return Answer(200, {"id": name, "status": "pending", "job_type": "upsert"})
        results: dict[str, Any] = {}
        if errors:
            link = self.keep_file(f"{number}.csv", ["email,error", *errors])
            results = {"errored_count": len(errors), "errors_url": link}
        status = "errored" if errors else "completed"
        return Answer(200, {"id": name, "status": status, "job_type": "upsert", "results": results})

    def _search(self, body: Mapping[str, Any]) -> Answer:
        self.jobs.finish()
        asked = body.get("identifiers")
        if not isinstance(asked, list) or not 1 <= len(asked) <= 100 or not all(isinstance(one, str) for one in asked):
            self.problem("a search for nobody, or for more than 100")
            return self._wrong("identifiers")
        found = {one: self.contacts[one.lower()] for one in asked if one.lower() in self.contacts}
        if not found:
            return Answer(404, {"errors": [{"message": "no contacts"}]})
        said = {one: {"contact": found[one]} if one in found else {"error": "contact not found"} for one in asked}
        return Answer(200, {"result": said})


def _value(text: str) -> Value:
    value: Value = json.loads(text) if _NUMBER.fullmatch(text) else text
    return value
