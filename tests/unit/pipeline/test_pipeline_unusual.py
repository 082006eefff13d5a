"""What is unusual about a published build is a warning with the numbers in it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.publish.checks import Finding, findings, in_words, sizes_found

AS_OF = date(2026, 6, 30)
POLICY = {
    "segments_check_days": 28,
    "segments_check_min_dates": 3,
    "segments_check_min_users": 100,
    "segments_check_fall_share": 0.5,
    "segments_check_jump_factor": 2,
}


def sizes(*before: int, now: int, age: int = 1) -> dict[date, dict[tuple[str, str], int]]:
    """Users of one segment on the dates before, the last one ``age`` days ago, and now; somebody is in another one."""
    days = {AS_OF - timedelta(days=age + number): users for number, users in enumerate(before)}
    return {
        day: {("rfm", "lost"): 7} | ({("rfm", "loyal"): users} if users else {})
        for day, users in {**days, AS_OF: now}.items()
    }


@pytest.mark.parametrize(
    ("given", "finding"),
    [
        (sizes(200, 200, 200, now=100), None),
        (sizes(200, 200, 200, now=99), "fall"),
        (sizes(200, 200, 200, now=0), "fall"),
        (sizes(200, 200, 200, now=400), None),
        (sizes(200, 200, 200, now=401), "jump"),
        # one odd date before changes nothing
        (sizes(200, 200, 9, now=150), None),
        # few users, or a short history
        (sizes(99, 99, 99, now=0), None),
        (sizes(0, 0, 0, now=99), None),
        (sizes(0, 0, 0, now=100), "jump"),
        (sizes(200, 200, now=0), None),
        # dates of long ago: the last of three is 28 days, then 29 days old
        (sizes(200, 200, 200, now=0, age=26), "fall"),
        (sizes(200, 200, 200, now=0, age=27), None),
    ],
)
def test_a_segment_has_fallen_or_jumped(given: Mapping[date, Any], finding: str | None) -> None:
    assert [found.finding for found in sizes_found(given, AS_OF, POLICY)] == ([finding] if finding else [])


def test_a_family_that_is_new_or_gone_is_no_finding() -> None:
    given: dict[date, dict[tuple[str, str], int]] = {
        AS_OF - timedelta(days=age): {("rfm", "loyal"): 500, ("gone", "all"): 500} for age in (1, 2, 3)
    }
    assert sizes_found({**given, AS_OF: {("rfm", "loyal"): 500, ("new", "all"): 500}}, AS_OF, POLICY) == []


@pytest.fixture
def published(tmp_path: Path) -> Path:
    file = tmp_path / "barometer.duckdb"
    with duckdb.connect(str(file)) as con:
        con.execute("create schema marts")
        con.execute(
            "create table marts.data_checks as select * from (values "
            "('rows_by_dataset', 'events', date '2026-06-30', date '2026-06-30', 12.0, 500.0, 4, 'fall'), "
            "('rows_by_dataset', 'orders', date '2026-06-30', date '2026-06-30', 500.0, 500.0, 4, null), "
            "('clock_skew', 'web', date '2026-06-30', date '2026-06-30', -7200.0, null, 900, 'ahead')) "
            "as checks(check_name, subject, as_of, checked_date, checked_value, usual_value, sample_size, finding)"
        )
        con.execute(f"create table marts.build_info as select date '{AS_OF}' as as_of, true as is_final")
        con.execute("create table marts.segment_sizes(as_of date, family varchar, segment varchar, users bigint)")
        for day, segments in sizes(200, 200, 200, now=50).items():
            for key, users in segments.items():
                con.execute("insert into marts.segment_sizes values (?, ?, ?, ?)", [day, *key, users])
    return file


def test_each_check_says_what_it_found(published: Path) -> None:
    found = findings(published, POLICY)
    assert {check: in_words(of_check) for check, of_check in found.items()} == {
        "rows_by_dataset": "fall of events to 12 from 500",
        "clock_skew": "web is ahead by 120 minutes",
        "segment_sizes": "fall of rfm/loyal to 50 from 200",
    }


def test_while_a_day_is_not_over_segments_say_nothing(published: Path) -> None:
    with duckdb.connect(str(published)) as con:
        con.execute("update marts.build_info set is_final = false")
    assert findings(published, POLICY)["segment_sizes"] == []


def test_many_findings_are_a_short_sentence() -> None:
    words = in_words([Finding(f"rfm/{number}", "fall", AS_OF, 1, 9) for number in range(7)])
    assert words.endswith("fall of rfm/4 to 1 from 9, and 2 more")
