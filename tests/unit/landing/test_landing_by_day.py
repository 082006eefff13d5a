"""Rows by date of the last days, in the business time zone."""

from __future__ import annotations

from datetime import date

import duckdb
import pytest

from orchestration.landing.by_day import DAILY, DAYS, rows_by_day
from orchestration.landing.contract import DATASETS
from orchestration.landing.schema import create_raw_schema

LAST = date(2026, 6, 30)
#: UTC, with the date in Kathmandu (+05:45), in UTC and in New York (-04:00).
TIMES = {
    "2026-06-30 18:14:59": (30, 30, 30),
    "2026-06-30 18:15:00": (None, 30, 30),
    "2026-07-01 03:59:59": (None, None, 30),
    "2026-07-01 04:00:00": (None, None, None),
    "2026-06-29 18:15:00": (30, 29, 29),
    "2026-06-03 00:00:00": (3, 3, None),
    "2026-06-02 18:15:00": (3, None, None),
    "2026-06-02 18:14:59": (None, None, None),
    "2024-01-01 00:00:00": (None, None, None),
}


@pytest.mark.parametrize("dataset", DAILY)
@pytest.mark.parametrize(("place", "zone"), list(enumerate(["Asia/Kathmandu", "UTC", "America/New_York"])))
def test_rows_are_counted_by_business_date(dataset: str, place: int, zone: str) -> None:
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        create_raw_schema(con)
        for time in TIMES:
            con.execute(f'insert into raw.{dataset} ("{DATASETS[dataset].event_time}") values (?)', [time])
        found = rows_by_day(con, dataset, LAST, zone)
    days = [dates[place] for dates in TIMES.values()]
    assert list(found) == [days.count(day) for day in range(3, 31)]
    assert len(found) == DAYS


def test_nothing_came() -> None:
    with duckdb.connect() as con:
        create_raw_schema(con)
        assert sum(rows_by_day(con, "events", LAST, "UTC")) == 0
