"""SendGrid: marketing contacts known by e-mail, whose custom fields say what they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from orchestration.activation.destinations.client import Client, reset_at, said
from orchestration.activation.destinations.interface import (
    REJECTED,
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
    rejected,
)
from orchestration.activation.destinations.jobs import follow, read_report, rows_of_report
from orchestration.activation.destinations.options import wrong_url
from orchestration.activation.destinations.pieces import piecewise

_URL = "https://api.sendgrid.com"
_CONTACTS = "/v3/marketing/contacts"
#: Where SendGrid keeps the files with the errors of imports.
_REPORT_HOSTS = ("sendgrid.com", "sendgrid.net", "twilio.com", "amazonaws.com")
#: The id of a custom field for text: those of numbers and dates can't be emptied.
_TEXT_FIELD = re.compile(r"[a-z]+[0-9]+_T")
_IDENTIFIERS = ("email", "phone_number_id", "external_id", "anonymous_id")
_FOUND_AT_ONCE = 100
#: Messages that the same row meets again for ever; any other may pass.
_PERMANENT = re.compile(r"invalid|not_valid|malformed|too_long|required|exceed")


class SendGrid(Destination):
    """Custom fields of contacts. No call touches a list, a suppression or the contact itself."""

    type = "sendgrid"
    # all identifiers of a contact must be given to change it: one with a user_id too could not change its e-mail,
    # nor be emptied once the address may not be used
    key = "email"
    options = {"api_key_env": True, "url": False}
    secrets = ("api_key_env",)
    # 30,000 contacts and 6 MB
    limits = Limits(rows=30_000, bytes=5_400_000, concurrency=2)

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        """Take the key from its environment variable."""
        super().__init__(name, options, patience)
        self._url = str(options.get("url") or _URL)
        headers = {"authorization": f"Bearer {self.secret('api_key_env')}", "accept": "application/json"}
        # SendGrid publishes no rate: it says with each answer when the next calls are taken
        self._client = Client(name, self._url, headers, self.patience, reset_at("x-ratelimit-reset"))

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return names that are no ids of custom fields for text, and audiences that no field would show."""
        problems = wrong_url(options) + [
            Problem(
                ("attributes", audience, name),
                f"{name} is no id of a custom field for text at SendGrid: make the field as Text, whatever it holds "
                "(others can't be emptied), and write the id that SendGrid gives it, such as e1_T.",
            )
            for audience, names in attributes.items()
            for name in names
            if not _TEXT_FIELD.fullmatch(name)
        ]
        for audience, names in attributes.items():
            others = {name for other, them in attributes.items() if other != audience for name in them}
            problems += [
                Problem(
                    ("attributes", audience, name),
                    f"{name} is a field of another audience too: who left one would lose the other's. Make a field.",
                )
                for name in names
                if name in others
            ]
        return problems

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Send contacts with all their fields; those that have more identifiers than an e-mail are sent with them."""
        outcomes = self._upsert(rows, [{"email": row.key, "custom_fields": _fields(row)} for row in rows])
        refused = [row for row in rows if outcomes[row.key].status == REJECTED and not outcomes[row.key].is_permanent]
        try:
            found = self._find(refused)
        except NotTaken:
            # they stay refused, and are tried again the next time
            return outcomes
        with_more = [row for row in refused if len(found.get(row.key, ())) > 1]
        if not with_more:
            return outcomes
        return outcomes | piecewise([with_more], lambda piece: self._with_identifiers(piece, found), UNKNOWN)

    def _with_identifiers(self, rows: Sequence[Row], found: Mapping[str, Mapping[str, str]]) -> dict[str, Outcome]:
        return self._upsert(rows, [{**found[row.key], "custom_fields": _fields(row)} for row in rows])

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Empty the fields of those contacts that there are: sending others would make them."""
        found = self._find(rows)
        there = [row for row in rows if row.key in found and row.attributes]
        outcomes = {row.key: TAKEN for row in rows}
        if there:
            outcomes |= self._with_identifiers(there, found)
        return outcomes

    def _find(self, rows: Sequence[Row]) -> dict[str, dict[str, str]]:
        """Return the identifiers of contacts, which all must be given to change them, by key."""
        keys = {row.key.lower(): row.key for row in rows}
        found: dict[str, dict[str, str]] = {}
        asked = list(keys)
        for at in range(0, len(asked), _FOUND_AT_ONCE):
            body = {"identifiers": asked[at : at + _FOUND_AT_ONCE]}
            try:
                # 404: there is none of them
                answer = self._client.call("POST", f"{_CONTACTS}/search/identifiers/email", json=body, expected=(404,))
                result = said(answer).get("result") if answer.is_success else None
            except LostAnswer as error:
                # nothing was changed yet
                raise NotTaken(error.code) from error
            for address, of_address in (result or {}).items():
                contact = of_address.get("contact")
                if contact is not None and (key := keys.get(address.lower())) is not None:
                    found[key] = {name: str(contact[name]) for name in _IDENTIFIERS if contact.get(name)}
        return found

    def _upsert(self, rows: Sequence[Row], contacts: Sequence[Mapping[str, Any]]) -> dict[str, Outcome]:
        answer = self._client.call("PUT", _CONTACTS, json={"contacts": contacts})
        job = said(answer).get("job_id")
        if not job:
            raise LostAnswer("no_job_id")

        def look() -> Mapping[str, Any] | None:
            path = f"{_CONTACTS}/imports/{quote(str(job), safe='')}"
            state = said(self._client.call("GET", path))
            return state if state.get("status") in ("completed", "errored", "failed") else None

        ended = follow(self.patience, look)
        results = ended.get("results") or {}
        if ended["status"] == "completed" and not results.get("errored_count"):
            return {row.key: TAKEN for row in rows}
        refused = self._refused(rows, contacts, str(results.get("errors_url") or ""))
        if len(refused) < (len(rows) if ended["status"] == "failed" else int(results.get("errored_count") or 1)):
            # rows failed that nothing names: halves of the call tell them
            raise Refused("errors_unread", is_permanent=False)
        return {row.key: refused.get(row.key, TAKEN) for row in rows}

    def _refused(self, rows: Sequence[Row], contacts: Sequence[Mapping[str, Any]], url: str) -> dict[str, Outcome]:
        names = {row.key.lower(): row.key for row in rows}
        for row, contact in zip(rows, contacts, strict=True):
            names |= {str(contact[name]).lower(): row.key for name in _IDENTIFIERS if name in contact}
        text = read_report(url, self._url, _REPORT_HOSTS, self.patience)
        refused = {}
        for key, reason in rows_of_report(text or "", names).items():
            outcome = rejected(reason)
            refused[key] = rejected(reason, is_permanent=bool(_PERMANENT.search(outcome.code)))
        return refused

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _fields(row: Row) -> dict[str, str]:
    return {name: _text(value) for name, value in row.attributes.items()}


def _text(value: Value) -> str:
    """Return a value as text; an empty one unsets, since SendGrid takes no null."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
