"""A receiver of the webhook: it checks signatures as the documentation shows, and keeps what it is told."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from orchestration.activation.destinations.interface import Target, Value
from orchestration.settings import ROOT
from tests.standins.server import Answer, Faults, Request, StandIn

PATH = "/barometer"


@cache
def documented(name: str) -> Any:
    """Return a function that a Python example of the documentation defines."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for code in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            if f"def {name}(" in code:
                defined: dict[str, Any] = {}
                exec(code, defined)
                return defined[name]
    raise AssertionError(f"no page of docs/ shows {name}")


class WebhookStandIn(StandIn):
    type = "webhook"
    contract = str(ROOT / "docs" / "webhook.openapi.yaml")
    server = "https://receiver.example.com"
    environment = {"WEBHOOK_SECRET": "0f6c1d1f1a4b4f0e9d2b7c3a5e8f9012"}
    rows = 100
    addresses = ("email",)

    def __init__(self, faults: Faults | None = None) -> None:
        super().__init__(faults)
        self.lists: dict[str, dict[str, dict[str, Value]]] = {}
        self.batches: list[Mapping[str, Any]] = []

    def options(self) -> dict[str, Any]:
        return {
            "url": self.url + PATH,
            "secret_env": "WEBHOOK_SECRET",
            "rows": self.rows,
            "addresses": list(self.addresses),
        }

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        members = self.lists.get(target.audience, {})
        return {key: {n: v for n, v in held.items() if n in names} for key, held in members.items()}

    def answer(self, request: Request) -> Answer:
        headers = {name.title(): value for name, value in request.headers.items()}
        if not documented("is_signed")(self.environment["WEBHOOK_SECRET"], headers, request.body):
            self.problem("the signature is wrong, old or missing")
            return Answer(401)
        if (request.method, request.path) != ("POST", PATH):
            self.problem(f"{request.method} {request.path} is not there")
            return Answer(404)
        self.need(request, content_type="application/json")
        batch = request.json
        if (wrong := self._wrong(batch)) is not None:
            self.problem(wrong)
            return Answer(400)
        self.batches.append(batch)
        members = self.lists.setdefault(batch["audience"], {})
        rejected = []
        for row in batch["rows"]:
            if (kind := self.faults.refuses(row["key"])) is not None:
                rejected.append({"key": row["key"], "code": f"refused_{kind}", "permanent": kind == "permanent"})
            elif batch["operation"] == "remove":
                members.pop(row["key"], None)
            else:
                held = {**members.get(row["key"], {}), **row["attributes"]}
                members[row["key"]] = {name: value for name, value in held.items() if value is not None}
        return Answer(200, {"rejected": rejected}) if rejected else Answer(204)

    def _wrong(self, batch: Mapping[str, Any]) -> str | None:
        content = {name: value for name, value in batch.items() if name != "batch_id"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        if batch.get("batch_id") != hashlib.sha256(text.encode()).hexdigest():
            return "batch_id is not of the content"
        if set(content) != {"destination", "audience", "plan_date", "operation", "rows"}:
            return "other fields than those of a batch"
        rows = batch["rows"]
        if not 1 <= len(rows) <= self.rows:
            return f"{len(rows)} rows"
        if len({row["key"] for row in rows}) != len(rows):
            return "a key twice in a batch"
        for row in rows:
            if set(row) != {"key", "user_id", "addresses", "attributes"}:
                return "other fields than those of a row"
            if not set(row["addresses"]) <= set(self.addresses):
                return "an address that was not asked for"
            if not all(isinstance(v, str | int | float | bool | None) for v in row["attributes"].values()):
                return "an attribute that is no text, number or truth value"
            if batch["operation"] == "remove" and any(v is not None for v in row["attributes"].values()):
                return "a removal that sets an attribute"
        return None
