"""A range of dates: what is said while it is built, where an error stops it, and how the UI's runs of one are taken."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

from orchestration.automation.backfill import CHANGED, NEW, SAME, Wanted, build_range, dates_between, wanted_dates
from orchestration.command_line import prepare_dagster_home
from orchestration.errors import BarometerError
from orchestration.settings import Settings

FIRST = date(2026, 6, 1)
WANTED = [Wanted(FIRST, NEW), Wanted(date(2026, 6, 2), SAME), Wanted(date(2026, 6, 3), CHANGED)]


def test_a_range_has_both_its_ends() -> None:
    assert dates_between(date(2026, 2, 27), date(2026, 3, 1)) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]
    assert dates_between(FIRST, FIRST) == [FIRST]
    with pytest.raises(BarometerError, match="ends before it begins"):
        dates_between(FIRST, date(2026, 5, 31))


def test_nothing_is_older_where_nothing_is_built(tmp_path: Path) -> None:
    with pytest.raises(BarometerError, match="Nothing is built yet") as error:
        wanted_dates(Settings(tmp_path, tmp_path / "data", FIRST, FIRST), FIRST, FIRST)
    assert "make run" in error.value.hint
    assert not (tmp_path / "data").exists()


def test_what_is_the_same_is_skipped_and_said() -> None:
    built: list[date] = []
    said: list[str] = []
    assert build_range(WANTED, built.append, said.append) == 2
    assert built == [FIRST, date(2026, 6, 3)]
    assert [line for line in said if "skipped, same" in line] == [f"2026-06-02 (2 of 3): skipped, {SAME}"]
    assert said[0] == f"2026-06-01 (1 of 3): {NEW}; building"
    assert said[1].startswith("2026-06-01 (1 of 3): built in 0.0 s")
    assert said[-1].startswith("2 dates built in 0 s") and said[-1].endswith(", 1 skipped")


def failing_on(day: date) -> Callable[[date], None]:
    def build(asked: date) -> None:
        if asked == day:
            raise BarometerError("dbt failed.", "Look at its log.")

    return build


def test_an_error_stops_the_range_and_says_where_to_go_on() -> None:
    with pytest.raises(BarometerError) as error:
        build_range(WANTED, failing_on(date(2026, 6, 3)), lambda line: None)
    assert error.value.message == "2026-06-03 could not be built: dbt failed."
    assert error.value.hint == (
        "Look at its log. Then go on with `make backfill FROM=2026-06-03 TO=2026-06-03`; the 1 dates built so far stay."
    )


def test_the_runs_of_a_range_are_taken_in_ascending_order_two_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One builds, the next starts and waits for the lock: as Dagster's daemon reads the project's settings."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(Settings(tmp_path, tmp_path / "data", FIRST, FIRST))
    job = RemoteJobOrigin(
        RemoteRepositoryOrigin(InProcessCodeLocationOrigin(LoadableTargetOrigin(), "here"), "repository"), "backfill"
    )
    days = [FIRST + timedelta(days=n) for n in range(5)]
    with dg.DagsterInstance.get() as instance, QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:

        def queue(**tags: str) -> str:
            return create_run_for_test(
                instance,
                run_id=str(uuid.uuid4()),
                job_name="backfill",
                status=dg.DagsterRunStatus.QUEUED,
                tags=tags,
                remote_job_origin=job,
            ).run_id

        of_the_range = [queue(**{"dagster/backfill": "b", "dagster/partition": str(day)}) for day in days]
        nightly = queue(**{"dagster/partition": "2026-07-01"})

        def taken() -> list[str]:
            found = daemon._get_runs_to_dequeue(instance, instance.get_concurrency_config(), None)
            return [run.run_id for run in found]

        assert taken() == [*of_the_range[:2], nightly]
        for run_id in taken():
            instance.report_run_canceled(instance.get_run_by_id(run_id))
        assert taken() == of_the_range[2:4]
