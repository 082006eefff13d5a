"""The one place that reads the clock."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def now() -> datetime:
    """Return the machine's time as UTC without a zone, as the warehouse stores times."""
    return datetime.now(UTC).replace(tzinfo=None)


def today(time_zone: str) -> date:
    """Return the machine's date in the business time zone."""
    return datetime.now(ZoneInfo(time_zone)).date()
