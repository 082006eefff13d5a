"""The sensor that asks for an intraday run when files have landed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta

import dagster as dg

from orchestration import clock
from orchestration.landing.files import LandingFile, find_files
from orchestration.publish.publish import published_dates
from orchestration.settings import Settings, settings_from_environment
from orchestration.warehouse.build import INTRADAY

SENSOR = "new_landing_files"
_SECONDS = 300


def last_change(files: Iterable[LandingFile], now: datetime, settle_seconds: float) -> float:
    """Return when the file that changed last, of those that have settled, did; 0 without any. ``now`` is UTC.

    Files settle in the order in which they change, so none comes in below what was seen before.
    """
    return max((file.changed_at for file in files if file.settled(now, settle_seconds)), default=0.0)


def why_not_yet(final_dates: set[date], today: date) -> str | None:
    """Return why no intraday run may start, or None: it waits for the nightly run of yesterday."""
    yesterday = today - timedelta(days=1)
    return None if yesterday in final_dates else f"The nightly run for {yesterday} has not published yet."


def ask_for_today(settings: Settings, now: datetime, cursor: str | None) -> dg.SensorResult | dg.SkipReason:
    """Return a request for an intraday run, or why there is none. ``now`` is UTC without a zone."""
    if not settings.landing.is_dir():
        return dg.SkipReason(f"There is no folder {settings.landing}.")
    settle = settings.policy["settle_seconds"] if settings.settle_seconds is None else settings.settle_seconds
    found = last_change(find_files(settings.landing), now, settle)
    if found <= float(cursor or 0):
        return dg.SkipReason("No new files have settled.")
    why = why_not_yet(published_dates(settings.published_file), settings.today)
    if why is not None:
        return dg.SkipReason(why)
    request = dg.RunRequest(run_key=f"{settings.today} {found!r}", partition_key=settings.today.isoformat())
    return dg.SensorResult([request], cursor=repr(found))


def landing_sensor() -> dg.SensorDefinition:
    """Return the sensor of new landing files."""

    def look(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        return ask_for_today(settings_from_environment(), clock.now(), context.cursor)

    return dg.SensorDefinition(
        name=SENSOR,
        job_name=INTRADAY,
        evaluation_fn=look,
        minimum_interval_seconds=_SECONDS,
        description="Asks for an intraday run when landing files have come or changed and settled, once the nightly "
        "run of yesterday is published. Off until somebody switches it on.",
    )
