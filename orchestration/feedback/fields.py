"""Reads fields of a provider's records, whatever is in them: nothing here raises."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, tzinfo
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl

#: One parsed record of a provider.
Record = Mapping[str, Any]

#: What may be sent along with a message so that the provider gives it back, by these names.
CARRIED = ("user_id", "campaign_id", "variant", "message_class", "message_id")
#: Seconds since 1970 from 1973 on, milliseconds, and what is neither.
_FIRST_SECONDS, _FIRST_MILLISECONDS, _TOO_LARGE = 1e8, 1e11, 1e14
#: What the loader trims.
_BLANK = " \t\n\r\f\v"
_NUMBER = re.compile(r"\d{1,16}(\.\d{1,9})?")


def text(value: Any) -> str | None:
    """Return a value as trimmed text; None where it is empty, has parts, or can't be written as UTF-8."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        trimmed = str(value).strip(_BLANK)
        trimmed.encode()
    except ValueError:
        return None
    return trimmed or None


def first(record: Record, *names: str) -> str | None:
    """Return the first of some fields that has a text."""
    return next((found for name in names if (found := text(record.get(name))) is not None), None)


def part(record: Record, name: str) -> Record:
    """Return a field that is an object; an empty one where it is none."""
    value = record.get(name)
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """Return a list as it is, and one value as a list of it."""
    return value if isinstance(value, list) else [value]


def plain(name: Any) -> str:
    """Return the name of an event or field in small letters, without what separates its words."""
    return re.sub(r"[^a-z0-9]", "", str(name or "").lower())


def flag(value: Any) -> bool | None:
    """Return what a provider's flag says; None where it says nothing."""
    if isinstance(value, bool):
        return value
    said = plain(value)
    return None if not said else said not in ("false", "0", "no", "null", "none")


def carried(value: Any) -> dict[str, str]:
    """Return what was sent along with a message, of CARRIED.

    It may come back as an object, as the text of one, as ``a:b|c:d``, as ``a=b&c=d``, or as a list of such texts.
    """
    found: dict[str, str] = {}
    for each in listed(value):
        given = each if isinstance(each, Mapping) else _pairs(text(each) or "")
        for name in CARRIED:
            if name in given and (said := text(given[name])) is not None:
                found.setdefault(name, said)
    return found


def _pairs(written: str) -> Mapping[str, Any]:
    if written.startswith(("{", "[")):
        try:
            return carried(json.loads(written))
        except (ValueError, RecursionError):
            return {}
    if "=" in written.split(":", 1)[0]:
        return dict(parse_qsl(written))
    split = (each.split(":", 1) for each in re.split(r"[|,;]", written))
    return {each[0].strip(): each[1] for each in split if len(each) == 2}


def utc(value: Any, zone: tzinfo = UTC) -> str | None:
    """Return a time as ISO 8601 in UTC; None where it can't be read or is before 1970.

    Numbers are seconds since 1970, large ones milliseconds. A text may also be ISO 8601 or as in e-mails (RFC 2822);
    ``zone`` is that of a text that names none.
    """
    try:
        moment = _moment(value, zone)
        in_utc = moment.astimezone(UTC).replace(tzinfo=None) if moment else None
    except (ValueError, OverflowError, OSError, TypeError, IndexError, AttributeError):
        return None
    return None if in_utc is None or in_utc.year < 1970 else in_utc.isoformat() + "Z"


def _moment(value: Any, zone: tzinfo) -> datetime | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, int | float):
        if not math.isfinite(value) or not _FIRST_SECONDS <= value < _TOO_LARGE:
            return None
        return datetime.fromtimestamp(value / 1000 if value >= _FIRST_MILLISECONDS else value, UTC)
    written = str(value).strip()
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        moment = parsedate_to_datetime(written)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
