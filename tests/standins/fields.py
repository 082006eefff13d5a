"""The names of a body's own fields: what a company calls its attributes is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_OF_THE_COMPANY = ("attributes", "properties", "custom_fields", "unset")


def field_names(body: Any, company: tuple[str, ...] = _OF_THE_COMPANY) -> Iterator[str]:
    """Return each name in a body, but for those below a name of ``company``."""
    if isinstance(body, dict):
        for name, value in body.items():
            yield name
            if name not in company:
                yield from field_names(value, company)
    elif isinstance(body, list):
        for value in body:
            yield from field_names(value, company)
