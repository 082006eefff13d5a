"""The schedule asks for yesterday, also in the nights in which the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from dagster._utils.schedules import schedule_execution_time_iterator

from orchestration.automation.schedules import date_to_build, nightly_schedule_of
from orchestration.warehouse.build import NIGHTLY


def asked_for(zone: str, at: datetime, repository: dg.RepositoryDefinition) -> str | None:
    """The date that the schedule asks for when it fires."""
    context = dg.build_schedule_context(repository_def=repository, scheduled_execution_time=at)
    (request,) = nightly_schedule_of(zone).evaluate_tick(context).run_requests
    assert request.run_key == request.partition_key
    return request.partition_key


def runs(zone: str, first: date, nights: int, repository: dg.RepositoryDefinition) -> list[tuple[str, str | None]]:
    """When Dagster's daemon fires the schedule in these nights, in its zone, and the date that it asks for."""
    schedule = nightly_schedule_of(zone)
    begins = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone))
    times = schedule_execution_time_iterator(begins.timestamp(), schedule.cron_schedule, zone)
    return [
        (f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M %z}", asked_for(zone, at.astimezone(UTC), repository))
        for at in islice(times, nights)
    ]


@pytest.mark.parametrize(
    ("zone", "first", "expected"),
    [
        (
            "Europe/Berlin",  # from 2 to 3 o'clock
            date(2026, 3, 28),
            [
                ("2026-03-28 03:00 +0100", "2026-03-27"),
                ("2026-03-29 03:00 +0200", "2026-03-28"),
                ("2026-03-30 03:00 +0200", "2026-03-29"),
            ],
        ),
        (
            "Europe/Berlin",  # from 3 back to 2 o'clock: three o'clock comes once
            date(2026, 10, 24),
            [
                ("2026-10-24 03:00 +0200", "2026-10-23"),
                ("2026-10-25 03:00 +0100", "2026-10-24"),
                ("2026-10-26 03:00 +0100", "2026-10-25"),
            ],
        ),
        (
            "Europe/Athens",  # from 3 to 4 o'clock: there is no three o'clock
            date(2026, 3, 28),
            [
                ("2026-03-28 03:00 +0200", "2026-03-27"),
                ("2026-03-29 04:00 +0300", "2026-03-28"),
                ("2026-03-30 03:00 +0300", "2026-03-29"),
            ],
        ),
        (
            "Europe/Athens",  # from 4 back to 3 o'clock: of the two it is the second
            date(2026, 10, 24),
            [
                ("2026-10-24 03:00 +0300", "2026-10-23"),
                ("2026-10-25 03:00 +0200", "2026-10-24"),
                ("2026-10-26 03:00 +0200", "2026-10-25"),
            ],
        ),
        (
            "UTC",
            date(2026, 12, 31),
            [
                ("2026-12-31 03:00 +0000", "2026-12-30"),
                ("2027-01-01 03:00 +0000", "2026-12-31"),
                ("2027-01-02 03:00 +0000", "2027-01-01"),
            ],
        ),
    ],
)
def test_every_night_once_and_for_yesterday(
    zone: str, first: date, expected: list[tuple[str, str]], repository: dg.RepositoryDefinition
) -> None:
    assert runs(zone, first, 3, repository) == expected


def test_yesterday_is_that_of_the_business_time_zone() -> None:
    at = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
    assert date_to_build(at, "Europe/Berlin") == "2026-07-01"
    assert date_to_build(at, "UTC") == "2026-06-30"


def test_the_time_of_the_tick_counts_not_that_of_the_machine(repository: dg.RepositoryDefinition) -> None:
    at = datetime(2026, 7, 1, 3, tzinfo=ZoneInfo("Europe/Berlin"))
    assert asked_for("Europe/Berlin", at, repository) == "2026-06-30"
    assert nightly_schedule_of("Europe/Berlin").job_name == NIGHTLY
