"""Brevo: contacts known by EXT_ID, imported into a list with their attributes, taken out of the list in hundreds."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import quote

from orchestration.activation.destinations.client import Client, limiter, reset_in, said
from orchestration.activation.destinations.interface import (
    TAKEN,
    UNKNOWN,
    Destination,
    Limits,
    LostAnswer,
    Outcome,
    Patience,
    Problem,
    Refused,
    Row,
    Target,
    WrongSettings,
    rejected,
)
from orchestration.activation.destinations.jobs import follow, read_report, rows_of_report
from orchestration.activation.destinations.options import wrong_url
from orchestration.activation.destinations.pieces import piecewise

_URL = "https://api.brevo.com/v3"
#: Where Brevo keeps the reports of imports.
_REPORT_HOSTS = ("brevo.com", "sendinblue.com", "amazonaws.com", "googleapis.com")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,49}")
#: Attributes that Brevo keeps itself, or that are addresses and no attributes.
_RESERVED = frozenset({"EMAIL", "SMS", "EXT_ID", "WHATSAPP", "LANDLINE_NUMBER"})
_REMOVED_AT_ONCE, _MEMBERS_AT_ONCE = 150, 500


class Brevo(Destination):
    """Lists and attributes of contacts. No call names a blocklist: whoever is on it stays on it."""

    type = "brevo"
    addresses = frozenset({"email", "phone"})
    options = {"api_key_env": True, "url": False}
    audience_options = {"list": True}
    secrets = ("api_key_env",)
    # 8 MB are advised; a removal makes a call a row, so that more rows would be long under way
    limits = Limits(rows=10_000, bytes=7_000_000, concurrency=4)
    has_list = True

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        """Take the key from its environment variable."""
        super().__init__(name, options, patience)
        self._url = str(options.get("url") or _URL)
        headers = {"api-key": self.secret("api_key_env"), "accept": "application/json"}
        self._client = Client(name, self._url, headers, self.patience, reset_in("x-sib-ratelimit-reset"))
        second = self.patience.second
        # nine tenths of 10 a second and 36,000 an hour; of 100 an hour for whatever is not below /contacts
        self._contacts = limiter((9, second), (32_400, 3600 * second))
        self._others = limiter((90, 3600 * second))
        #: Brevo asks for one import at a time.
        self._importing = threading.Lock()

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return names that Brevo does not take, and names that are one name there: it knows capital letters only."""
        problems = wrong_url(options)
        for audience, names in attributes.items():
            for name in names:
                path = ("attributes", audience, name)
                if not _NAME.fullmatch(name):
                    text = f"Brevo takes no attribute {name!r}: use up to 50 letters, digits and _, a letter first."
                    problems.append(Problem(path, text))
                elif name.upper() in _RESERVED:
                    text = f"{name} is an address or an identifier at Brevo: name the attribute otherwise."
                    problems.append(Problem(path, text))
                elif sum(name.upper() == other.upper() for other in names) > 1:
                    text = f"Brevo takes small letters for capitals: give {name} a name of its own."
                    problems.append(Problem(path, text))
        return problems

    def members(self, target: Target) -> Iterator[str]:
        """Return the EXT_ID of everybody in the list."""
        offset = 0
        while True:
            page = {"limit": _MEMBERS_AT_ONCE, "offset": offset, "sort": "asc"}
            path = f"/contacts/lists/{_list(target)}/contacts"
            try:
                answer = self._client.call("GET", path, self._contacts, params=page)
            except Refused:
                self._need_list(target)
                raise
            contacts = said(answer).get("contacts") or []
            for contact in contacts:
                if not (key := (contact.get("attributes") or {}).get("EXT_ID") or contact.get("ext_id")):
                    raise WrongSettings(
                        f"{self.name}: the list {_list(target)} holds contacts without EXT_ID.",
                        "Name a list that nobody else fills, and empty it before the first sync.",
                    )
                yield str(key)
            if len(contacts) < _MEMBERS_AT_ONCE:
                return
            offset += len(contacts)

    def set(self, target: Target, rows: Sequence[Row]) -> dict[str, Outcome]:
        """Import rows into the list, those with the same attributes and addresses together.

        An import that unsets takes what a row does not name, but another does, for empty too.
        """

        def shape(row: Row) -> tuple[str, ...]:
            return (*sorted(row.addresses), "", *sorted(row.attributes))

        pieces = [list(piece) for _, piece in groupby(sorted(rows, key=shape), key=shape)]
        return piecewise(pieces, lambda piece: self._import(target, piece))

    def _import(self, target: Target, rows: Sequence[Row]) -> dict[str, Outcome]:
        body = {
            "listIds": [_list(target)],
            "updateExistingContacts": True,
            "emptyContactsAttributes": True,
            "disableNotification": True,
            "jsonBody": [_contact(row) for row in rows],
        }
        with self._importing:
            try:
                answer = self._client.call("POST", "/contacts/import", self._contacts, json=body)
            except Refused:
                self._need_list(target)
                raise
            number = said(answer).get("processId")
            if number is None:
                raise LostAnswer("no_process_id")

            def look() -> Mapping[str, Any] | None:
                path = f"/processes/{quote(str(number), safe='')}"
                process = said(self._client.call("GET", path, self._others))
                if process.get("status") in ("failed", "cancelled"):
                    raise LostAnswer(f"import_{process['status']}")
                return process if process.get("status") == "completed" else None

            # looks are few (90 an hour): the first waits longer for a longer import
            ended = follow(self.patience, look, self.patience.poll_wait * (1 + len(rows) / 1000))
        return self._outcomes(rows, (ended.get("info") or {}).get("import") or {})

    def _outcomes(self, rows: Sequence[Row], reports: Mapping[str, Any]) -> dict[str, Outcome]:
        """Read the reports of an import: one link for each kind of row that was left out."""
        # ids may differ in nothing but capitals: as they are they come first
        names = {row.key.lower(): row.key for row in rows} | {row.key: row.key for row in rows}
        for row in rows:
            for kind, address in row.addresses.items():
                names.setdefault(address.lower(), row.key)
                if kind == "phone":
                    names.setdefault(address.lstrip("+"), row.key)
        outcomes = {row.key: TAKEN for row in rows}
        for kind, url in reports.items():
            if not url:
                continue
            text = read_report(str(url), self._url, _REPORT_HOSTS, self.patience)
            if text is None:
                return {row.key: Outcome(UNKNOWN, "report_unread") for row in rows}
            # a duplicate may be settled at Brevo; what is no address stays none
            outcomes |= {
                key: rejected(kind, is_permanent=str(kind).startswith("invalid")) for key in rows_of_report(text, names)
            }
        return outcomes

    def _need_list(self, target: Target) -> None:
        found = self._client.call("GET", f"/contacts/lists/{_list(target)}", self._contacts, expected=(404,))
        if found.status_code == 404:
            raise WrongSettings(
                f"{self.name}: Brevo has no list {_list(target)}, which the audience {target.audience} names.",
                "Make the list at Brevo, and write its number as list of the audience.",
            )

    def remove(self, target: Target, rows: Sequence[Row]) -> dict[str, Outcome]:
        """Take rows out of the list by hundreds, then unset their attributes one by one: no other call creates none."""
        out: set[str] = set()

        def take_out(piece: Sequence[Row]) -> dict[str, Outcome]:
            path = f"/contacts/lists/{_list(target)}/contacts/remove"
            body = {"extIds": [row.key for row in piece]}
            # 400: none of them is in the list; 404: there is no such list
            answer = self._client.call("POST", path, self._contacts, expected=(400, 404), json=body)
            if answer.is_success:
                out.update(str(key) for key in (said(answer).get("contacts") or {}).get("success") or [])
            return {row.key: TAKEN for row in piece}

        def unset(piece: Sequence[Row]) -> dict[str, Outcome]:
            return {row.key: self._unset(target, row, is_out=row.key in out) for row in piece}

        pieces = [rows[at : at + _REMOVED_AT_ONCE] for at in range(0, len(rows), _REMOVED_AT_ONCE)]
        outcomes = piecewise(pieces, take_out)
        return outcomes | piecewise([[row] for row in rows if outcomes[row.key] is TAKEN], unset, UNKNOWN)

    def _unset(self, target: Target, row: Row, is_out: bool) -> Outcome:
        path, by = f"/contacts/{quote(row.key, safe='')}", {"identifierType": "ext_id"}
        if not is_out:
            # the list knows no such member: because there is no such contact, or it has left
            found = self._client.call("GET", path, self._contacts, expected=(404,), params=by)
            if found.status_code == 404:
                return TAKEN
            if _list(target) in (said(found).get("listIds") or []):
                return rejected("still_in_list", is_permanent=False)
        if row.attributes:
            body = {"attributes": dict.fromkeys(map(str.upper, row.attributes), "")}
            self._client.call("PUT", path, self._contacts, expected=(404,), params=by, json=body)
        return TAKEN

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _list(target: Target) -> int:
    try:
        return int(target.options["list"])
    except ValueError:
        raise WrongSettings(
            f"The audience {target.audience} names no list of Brevo: {target.options['list']!r}.",
            "Write the number that Brevo shows beside the list.",
        ) from None


def _contact(row: Row) -> dict[str, Any]:
    values: dict[str, Any] = {"EXT_ID": row.key}
    if "phone" in row.addresses:
        values["SMS"] = row.addresses["phone"]
    values |= {name.upper(): "" if value is None else value for name, value in row.attributes.items()}
    email = {"email": row.addresses["email"]} if "email" in row.addresses else {}
    return {**email, "attributes": values}
