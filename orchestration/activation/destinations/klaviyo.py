"""Klaviyo: profiles known by external_id, imported in bulk with their properties, members of lists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from orchestration.activation.destinations.client import Client, limiter, said
from orchestration.activation.destinations.interface import (
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
    WrongSettings,
    rejected,
)
from orchestration.activation.destinations.jobs import follow
from orchestration.activation.destinations.options import wrong_url
from orchestration.activation.destinations.pieces import piecewise

_URL = "https://a.klaviyo.com"
_REVISION = "2026-07-15"
_JSON = "application/vnd.api+json"
_JOBS = "/api/profile-bulk-import-jobs"
_REMOVED_AT_ONCE = 1000
_LONGEST_ROW = 100_000
_INDEX = re.compile(r"/profiles/data/(\d+)")
#: Codes of errors that the same row meets again for ever; any other may pass.
_PERMANENT = re.compile(r"invalid|required|too_long|malformed")


class Klaviyo(Destination):
    """Properties of profiles and membership of lists. No call subscribes, unsubscribes or suppresses anybody."""

    type = "klaviyo"
    addresses = frozenset({"email", "phone"})
    options = {"api_key_env": True, "url": False}
    audience_options = {"list": False}
    secrets = ("api_key_env",)
    # 10,000 profiles and 5 MB; a removal makes a call a row, so that more rows would be long under way
    limits = Limits(rows=5_000, bytes=4_500_000, concurrency=4)
    has_list = True

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        """Take the key from its environment variable."""
        super().__init__(name, options, patience)
        headers = {
            "authorization": f"Klaviyo-API-Key {self.secret('api_key_env')}",
            "revision": _REVISION,
            "accept": _JSON,
        }
        self._client = Client(name, str(options.get("url") or _URL), headers, self.patience)
        second = self.patience.second
        # nine tenths of what each call may be made: 10/s and 150/min, and 75/s and 750/min for one profile
        few, many = ((9, second), (135, 60 * second)), ((67, second), (675, 60 * second))
        self._posts, self._looks, self._errors, self._removals = (limiter(*few) for _ in range(4))
        self._profiles, self._members = limiter(*many), limiter(*many)

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return names that Klaviyo keeps for itself: consent and addresses are set by them."""
        text = "Klaviyo keeps names that begin with $ for itself: name the attribute otherwise."
        return wrong_url(options) + [
            Problem(("attributes", audience, name), text)
            for audience, names in attributes.items()
            for name in names
            if name.startswith("$") or not name.strip()
        ]

    def members(self, target: Target) -> Iterator[str] | None:
        """Return nobody for an empty list; Klaviyo names members by its own ids alone, so that others can't be told."""
        if not target.options.get("list"):
            return iter(())
        try:
            answer = self._call("GET", _members_of(target), self._members, params={"page[size]": 1})
        except Refused as error:
            raise self._blamed(target, error) from error
        return None if answer.get("data") else iter(())

    def refuse(self, target: Target, row: Row) -> str | None:
        """Return a code for a profile that is longer than Klaviyo takes."""
        return "over_100_kb" if self.size(target, row) > _LONGEST_ROW else None

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Import rows in bulk, follow the job to its end, and read what it says of single rows."""
        job: dict[str, Any] = {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": [_profile(row) for row in rows]}},
        }
        if target.options.get("list"):
            job["relationships"] = {"lists": {"data": [{"type": "list", "id": str(target.options["list"])}]}}
        try:
            number = _part(self._call("POST", _JOBS, self._posts, {"data": job}), "data").get("id")
        except Refused as error:
            raise self._blamed(target, error) from error
        if not number:
            raise LostAnswer("no_job_id")
        path = f"{_JOBS}/{quote(str(number), safe='')}"

        def look() -> Mapping[str, Any] | None:
            job = _part(_part(self._call("GET", path, self._looks), "data"), "attributes")
            return job if job.get("status") in ("complete", "cancelled") else None

        ended = follow(self.patience, look)
        if ended["status"] == "cancelled":
            raise LostAnswer("job_cancelled")
        refused = self._refused(path, rows) if ended.get("failed_count") else {}
        if len(refused) < int(ended.get("failed_count") or 0):
            # a row failed that nothing names: halves of the call tell it
            raise Refused("errors_without_row", is_permanent=False)
        return {row.key: refused.get(row.key, TAKEN) for row in rows}

    def _refused(self, path: str, rows: Sequence[Row]) -> dict[str, Outcome]:
        keys = {row.key for row in rows}
        refused: dict[str, Outcome] = {}
        page: dict[str, Any] = {"page[size]": 100}
        while True:
            try:
                errors = self._call("GET", f"{path}/import-errors", self._errors, params=page)
            except (NotTaken, Refused) as error:
                raise LostAnswer(error.code) from error
            for one in errors.get("data") or []:
                what = _part(one, "attributes")
                code, payload = str(what.get("code")), _part(what, "original_payload")
                key = (_part(payload, "attributes") or payload).get("external_id")
                index = _INDEX.search(_part(what, "source").get("pointer") or "")
                if key not in keys and index is not None and int(index[1]) < len(rows):
                    key = rows[int(index[1])].key
                if len(rows) == 1:
                    key = rows[0].key
                if key in keys:
                    refused[key] = rejected(code, is_permanent=bool(_PERMANENT.search(code)))
            following = parse_qs(urlsplit((errors.get("links") or {}).get("next") or "").query)
            if "page[cursor]" not in following:
                return refused
            page["page[cursor]"] = following["page[cursor]"][0]

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Unset the properties of rows one by one, which tells their ids at Klaviyo, and take those out of the list."""
        ids: dict[str, str] = {}

        def unset(piece: Sequence[Row]) -> dict[str, Outcome]:
            profile = self._call("POST", "/api/profile-import", self._profiles, {"data": _profile(piece[0])})
            if not (number := _part(profile, "data").get("id")):
                raise LostAnswer("no_profile_id")
            ids[piece[0].key] = str(number)
            return {piece[0].key: TAKEN}

        def take_out(piece: Sequence[Row]) -> dict[str, Outcome]:
            members = {"data": [{"type": "profile", "id": ids[row.key]} for row in piece]}
            self._call("DELETE", _members_of(target), self._removals, members)
            return {row.key: TAKEN for row in piece}

        outcomes = piecewise([[row] for row in rows], unset)
        if target.options.get("list"):
            found = [row for row in rows if row.key in ids]
            pieces = [found[at : at + _REMOVED_AT_ONCE] for at in range(0, len(found), _REMOVED_AT_ONCE)]
            outcomes |= piecewise(pieces, take_out, UNKNOWN)
        return outcomes

    def _blamed(self, target: Target, error: Refused) -> Exception:
        if error.code != "http_404":
            return error
        return WrongSettings(
            f"{self.name}: Klaviyo has no list {target.options.get('list')}, which {target.audience} names.",
            "Make the list at Klaviyo, and write its id as list of the audience.",
        )

    def _call(self, method: str, path: str, rate: Any, body: object = None, **request: Any) -> dict[str, Any]:
        if body is not None:
            request |= {"content": json.dumps(body), "headers": {"content-type": _JSON}}
        answer = self._client.call(method, path, rate, **request)
        return {} if answer.status_code == 204 else said(answer)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _part(said_by_klaviyo: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return a part of an answer, empty where it is missing."""
    part = said_by_klaviyo.get(name)
    return part if isinstance(part, Mapping) else {}


def _members_of(target: Target) -> str:
    return f"/api/lists/{quote(str(target.options['list']), safe='')}/relationships/profiles"


def _profile(row: Row) -> dict[str, Any]:
    """Return a profile; an import in bulk takes no null, so that what is unset is named apart."""
    attributes: dict[str, Any] = {"external_id": row.key}
    if "email" in row.addresses:
        attributes["email"] = row.addresses["email"]
    if "phone" in row.addresses:
        attributes["phone_number"] = row.addresses["phone"]
    attributes["properties"] = {name: value for name, value in row.attributes.items() if value is not None}
    profile: dict[str, Any] = {"type": "profile", "attributes": attributes}
    if unset := [name for name, value in row.attributes.items() if value is None]:
        profile["meta"] = {"patch_properties": {"unset": unset}}
    return profile
