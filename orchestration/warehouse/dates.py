"""Whether the machine's date can be believed, by the dates that were built; a wrong clock builds the wrong day."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from orchestration.errors import BarometerError

#: How both doubts end.
_LOOK = "`make doctor` shows the dates."


def refuse_clock_behind(today: date, final_dates: Collection[date], is_today_given: bool) -> None:
    """Raise BarometerError where a date is built for good that is not over by the machine's clock.

    A date that was given (BAROMETER_TODAY) is believed.
    """
    latest = max(final_dates, default=None)
    if is_today_given or latest is None or latest < today:
        return
    raise BarometerError(
        f"The clock is wrong: it says {today}, but {latest} is built for good, as a date that was over. "
        f"Either it is behind now, or it was ahead when {latest} was built.",
        f"Set the machine's clock and run again. If it was ahead then, see in docs/OPERATING.md, The clock. {_LOOK}",
    )


def refuse_clock_ahead(as_of: date, final_dates: Collection[date], max_days: int, is_date_asked_for: bool) -> None:
    """Raise BarometerError where a nightly run of a date that nobody asked for comes too long after the last one."""
    latest = max(final_dates, default=None)
    if is_date_asked_for or latest is None or (as_of - latest).days <= max_days:
        return
    raise BarometerError(
        f"No run by itself for {as_of}: the last date that was built is {latest}, {(as_of - latest).days} days before "
        f"(the var max_days_without_a_run allows {max_days}). Either nothing ran for that long, or the clock is ahead.",
        f"Look at the machine's clock. If it is right, run once for a date that you name: make run ARGS=\"--as-of "
        f'{as_of}". {_LOOK}',
    )
