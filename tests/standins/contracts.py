"""Whether requests are as a provider's published contract has them; tests skip, and say why, without the contracts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from openapi_core import OpenAPI
from openapi_core.testing import MockRequest

from orchestration.settings import ROOT
from tests.standins.server import Request, StandIn

CONTRACTS = ROOT.parent / "shared" / "contracts"


def need(name: str) -> Path:
    """Return the file of a contract, which may be one of the project's own; skip the test, saying why, without it."""
    file = CONTRACTS / name
    if not file.exists():
        pytest.skip(f"the provider's contract {name} is not beside the project")
    return file


@cache
def contract(file: Path) -> OpenAPI:
    """Return a contract, read once."""
    text = file.read_text(encoding="utf-8")
    found = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    _tell_apart(found)
    return OpenAPI.from_dict(found)


def _tell_apart(found: dict[str, Any]) -> None:
    """Let each of several forms of a body need its one field, as the descriptions have it: else all fit, or none."""
    for path in found["paths"].values():
        for operation in path.values():
            body = operation.get("requestBody", {}) if isinstance(operation, dict) else {}
            for content in body.get("content", {}).values():
                forms = [_resolved(found, form) for form in _resolved(found, content["schema"]).get("oneOf", ())]
                if all(len(form.get("properties", ())) == 1 and "required" not in form for form in forms):
                    for form in forms:
                        form["required"] = list(form["properties"])


def _resolved(found: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        names, part = part["$ref"].removeprefix("#/").split("/"), found
        for name in names:
            part = part[name]
    return part


def against(file: Path, request: Request, server: str) -> str | None:
    """Return what the contract has against a request, None where it fits. ``server``: the provider's real address."""
    parts = urlsplit(server)
    try:
        contract(file).validate_request(
            MockRequest(
                host_url=f"{parts.scheme}://{parts.netloc}",
                method=request.method.lower(),
                path=parts.path.rstrip("/") + request.path,
                args=dict(request.query),
                headers=dict(request.headers),
                data=request.body or None,
                content_type=request.headers.get("content-type", "application/json").split(";")[0],
            )
        )
    except Exception as error:  # openapi-core has no common base for all it finds
        causes = [type(error).__name__, str(error)[:300]]
        if error.__cause__ is not None:
            causes.append(str(getattr(error.__cause__, "schema_errors", error.__cause__))[:600])
        return ": ".join(causes)
    return None


def all_against(stand_in: StandIn) -> list[str]:
    """Return what the provider's contract has against the calls that a stand-in has taken."""
    file = need(stand_in.contract)
    calls = [call for request in stand_in.requests if (call := stand_in.in_contract(request)) is not None]
    return [text for call in calls if (text := against(file, call, stand_in.server)) is not None]
