"""Which dates can be built."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from orchestration import clock
from orchestration.automation.partitions import build_dates, freshness
from orchestration.errors import BarometerError

POLICY = {"first_as_of": "2024-01-01", "business_time_zone": "Europe/Berlin"}


def ends(environment: dict[str, str]) -> tuple[str | None, str | None]:
    dates = build_dates(POLICY, environment)
    return dates.get_first_partition_key(), dates.get_last_partition_key()


def test_from_the_first_date_of_the_policy_to_today_included() -> None:
    assert ends({}) == ("2024-01-01", clock.today("Europe/Berlin").isoformat())


@pytest.mark.parametrize("today", [date(2026, 7, 1), clock.today("UTC") + timedelta(days=400)])
def test_today_is_what_the_environment_says(today: date) -> None:
    assert ends({"BAROMETER_TODAY": today.isoformat()}) == ("2024-01-01", today.isoformat())


def test_a_date_before_the_first_is_there_when_it_is_asked_for() -> None:
    assert ends({"BAROMETER_AS_OF": "2010-12-09", "BAROMETER_TODAY": "2010-12-10"}) == ("2010-12-09", "2010-12-10")
    assert ends({"BAROMETER_AS_OF": "2025-12-09", "BAROMETER_TODAY": "2026-01-10"}) == ("2024-01-01", "2026-01-10")


def test_a_partition_is_a_day_of_the_business_time_zone() -> None:
    window = build_dates(POLICY, {}).time_window_for_partition_key("2026-03-29")
    assert (window.start.isoformat(), window.end.isoformat()) == (
        "2026-03-29T00:00:00+01:00",
        "2026-03-30T00:00:00+02:00",
    )


def test_no_date_is_a_clear_error() -> None:
    with pytest.raises(BarometerError, match="BAROMETER_TODAY is 'soon', which is no date"):
        build_dates(POLICY, {"BAROMETER_TODAY": "soon"})


def test_tables_are_due_at_six_in_the_business_time_zone() -> None:
    due = freshness(POLICY)
    assert (due.deadline_cron, due.timezone) == ("0 6 * * *", "Europe/Berlin")
    assert due.lower_bound_delta < timedelta(hours=6)
