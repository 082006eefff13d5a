"""Backfills a range of dates: which of them need a build and why, then a run of the job backfill for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from orchestration.errors import BarometerError
from orchestration.settings import Settings
from orchestration.warehouse import build_state
from orchestration.warehouse.build import build_of, is_built, is_upstream_current, stale_upstream
from orchestration.warehouse.files import open_duckdb

#: Why a date is built, and why not.
NEW = "new: it was never built"
OF_THE_NIGHT = "new: its nightly run left no file of its own"
CHANGED = "changed: rows were loaded since, or the project is another"
SAME = "same: built from the same rows by the same project"


@dataclass(frozen=True)
class Wanted:
    """A date of the range, and why it is built or not."""

    as_of: date
    why: str

    @property
    def is_same(self) -> bool:
        """Whether its file holds what a build would give, so that none is needed."""
        return self.why == SAME


def dates_between(first: date, last: date) -> list[date]:
    """Return the dates from the first to the last, both included; BarometerError where they are in wrong order."""
    if first > last:
        raise BarometerError(f"The range ends before it begins: {first} to {last}.", "Put the earlier date first.")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def wanted_dates(settings: Settings, first: date, last: date) -> list[Wanted]:
    """Return the dates of a range in ascending order, each with why it is built or not. The caller holds the lock.

    Raises BarometerError where a date is not before the latest final one, and where staging and rollups, from which
    old dates are built, are not current.
    """
    dates = dates_between(first, last)
    finals: set[date] = set()
    if settings.build_file.exists():
        with open_duckdb(settings.build_file) as con:
            build_state.create_history_schema(con)
            finals = build_state.final_dates(con)
    _refuse_dates_of_today(dates, finals)
    found = [_wanted(replace(settings, as_of=day), finals) for day in dates]
    to_build = next((each.as_of for each in found if not each.is_same), None)
    if to_build is not None:
        of_its_date = replace(settings, as_of=to_build)
        if not is_upstream_current(of_its_date, build_of(of_its_date)):
            raise stale_upstream(to_build)
    return found


def _wanted(settings: Settings, finals: set[date]) -> Wanted:
    build = build_of(settings)
    if is_built(settings, build):
        return Wanted(settings.as_of, SAME)
    if build.file.exists():
        return Wanted(settings.as_of, CHANGED)
    return Wanted(settings.as_of, OF_THE_NIGHT if settings.as_of in finals else NEW)


def _refuse_dates_of_today(dates: Sequence[date], finals: set[date]) -> None:
    """Raise BarometerError for a range that goes beyond the dates before the latest final one."""
    if not finals:
        raise BarometerError(
            "Nothing is built yet, so no date is an older one.",
            "Run the job nightly first (`make run`): older dates are built from what it leaves.",
        )
    latest = max(finals)
    if dates[-1] >= latest:
        until = latest - timedelta(days=1)
        hint = f"End the range at {until}." if dates[0] <= until else f"Choose dates up to {until}."
        raise BarometerError(
            f"{dates[-1]} is not before {latest}, the latest date that is built: a backfill is of older dates.",
            f"{hint} {latest} itself is built again by `make run`.",
        )


def build_range(wanted: Sequence[Wanted], build: Callable[[date], None], say: Callable[[str], None]) -> int:
    """Build each date that needs it, one after the other, and say how far it is; return how many were built.

    ``build`` makes one date. Where it raises BarometerError, the error says which date it was and where to go on.
    """
    left = [each for each in wanted if not each.is_same]
    started, built = time.perf_counter(), 0
    for number, each in enumerate(wanted, start=1):
        place = f"{each.as_of} ({number} of {len(wanted)})"
        if each.is_same:
            say(f"{place}: skipped, {each.why}")
            continue
        say(f"{place}: {each.why}; building")
        began = time.perf_counter()
        try:
            build(each.as_of)
        except BarometerError as error:
            rest = f"make backfill FROM={each.as_of} TO={wanted[-1].as_of}"
            raise BarometerError(
                f"{each.as_of} could not be built: {error.message}",
                f"{error.hint} Then go on with `{rest}`; the {built} dates built so far stay.".strip(),
            ) from error
        built += 1
        now = time.perf_counter()
        minutes = (now - started) / built * (len(left) - built) / 60
        say(f"{place}: built in {now - began:.1f} s" + (f", about {minutes:.0f} min to go" if minutes >= 1 else ""))
    took = time.perf_counter() - started
    say(
        f"{built} dates built in {took:.0f} s"
        + (f" ({took / built:.1f} a date)" if built else "")
        + f", {len(wanted) - len(left)} skipped"
    )
    return built
