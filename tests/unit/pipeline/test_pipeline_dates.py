"""The machine's date is believed unless the dates that were built speak against it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import date

import pytest

from orchestration.errors import BarometerError
from orchestration.resources import DEFAULT_DATE_TAG, _is_date_asked_for
from orchestration.settings import settings_from_environment
from orchestration.warehouse.dates import refuse_clock_ahead, refuse_clock_behind

LAST = date(2026, 6, 30)
BUILT = {date(2026, 6, 28), LAST}
CLOCK_DATE = settings_from_environment({})


@pytest.mark.parametrize(
    ("today", "is_given", "is_refused"),
    [
        (date(2026, 7, 1), False, False),
        # a date that is built for good was over
        (LAST, False, True),
        (date(2026, 6, 1), False, True),
        (date(2026, 6, 1), True, False),
    ],
)
def test_a_clock_that_is_behind_what_was_built_stops_a_run(today: date, is_given: bool, is_refused: bool) -> None:
    with pytest.raises(BarometerError, match="it says .*, but 2026-06-30 is built") if is_refused else nullcontext():
        refuse_clock_behind(today, BUILT, is_given)
    refuse_clock_behind(today, set(), is_given)


@pytest.mark.parametrize(
    ("as_of", "is_asked_for", "is_refused"),
    [
        (date(2026, 7, 1), False, False),
        (date(2026, 7, 30), False, False),
        (date(2026, 7, 31), False, True),
        (date(2026, 7, 31), True, False),
        # an older date is a backfill
        (date(2026, 1, 1), False, False),
    ],
)
def test_a_jump_ahead_stops_a_run_that_nobody_asked_for(as_of: date, is_asked_for: bool, is_refused: bool) -> None:
    with pytest.raises(BarometerError, match="31 days before") if is_refused else nullcontext():
        refuse_clock_ahead(as_of, BUILT, 30, is_asked_for)
    refuse_clock_ahead(as_of, set(), 30, is_asked_for)


@pytest.mark.parametrize(
    ("tags", "given", "is_asked_for"),
    [
        # as somebody chooses it in the UI
        ({"dagster/partition": "2026-07-31"}, {}, True),
        ({"dagster/partition": "2026-07-31", "dagster/schedule_name": "every_night"}, {}, False),
        ({"dagster/partition": "2026-07-31", DEFAULT_DATE_TAG: "true"}, {}, False),
        ({}, {}, False),
        ({}, {"is_as_of_given": True}, True),
        ({}, {"is_today_given": True}, True),
    ],
)
def test_whose_date_nobody_named_was_not_asked_for(
    tags: dict[str, str], given: dict[str, bool], is_asked_for: bool
) -> None:
    assert _is_date_asked_for(replace(CLOCK_DATE, **given), tags) is is_asked_for
