"""How a problem of the policy is said: values as somebody writes them, and what a misspelt name may have meant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from typing import Any


def shown(value: Any) -> str:
    """Return a value as somebody writes it in YAML or CSV."""
    return str(value) if isinstance(value, (Decimal, date)) else json.dumps(value, default=str, ensure_ascii=False)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like a misspelt one, in brackets; nothing if none is."""
    close = get_close_matches(name, sorted(known), 1, 0.75)
    return f" (meant {close[0]}?)" if close else ""
