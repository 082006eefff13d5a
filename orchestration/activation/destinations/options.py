"""What is asked of options that several destinations share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from orchestration.activation.destinations.client import LOOPBACK
from orchestration.activation.destinations.interface import Problem

_KINDS = ("email", "phone")


def wrong_addresses(options: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the option that names the kinds of address which go along."""
    kinds = options.get("addresses", [])
    if isinstance(kinds, list) and all(kind in _KINDS for kind in kinds):
        return []
    return [Problem(("options", "addresses"), f"must be a list of {', '.join(_KINDS)}")]


def wrong_url(options: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the address of a provider, if one is given: secrets go to https alone."""
    parts = split_url(options)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
    if "url" not in options or (parts.hostname and is_safe):
        return []
    return [Problem(("options", "url"), "must be an https address, such as https://api.example.com")]


def split_url(options: Mapping[str, Any], option: str = "url") -> SplitResult:
    """Return the parts of an address; all are empty where it is none."""
    try:
        parts = urlsplit(str(options.get(option, "")))
        _ = parts.port  # it is read when it is asked for
        return parts
    except ValueError:
        return urlsplit("")
