"""The sensor asks for an intraday run when files have landed and settled, after the nightly run of yesterday."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.automation.sensors import ask_for_today, landing_sensor
from orchestration.settings import Settings
from orchestration.warehouse import build_state

TODAY = date(2026, 7, 1)
YESTERDAY = date(2026, 6, 30)
NOW = datetime(2026, 7, 1, 12)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "landing" / "orders").mkdir(parents=True)
    return Settings(tmp_path / "landing", tmp_path / "data", YESTERDAY, TODAY, settle_seconds=60)


def land(settings: Settings, name: str, at: datetime = NOW - timedelta(hours=1)) -> None:
    path = settings.landing / "orders" / name
    path.write_text("order_id\n")
    seconds = at.replace(tzinfo=UTC).timestamp()
    os.utime(path, (seconds, seconds))


def published(settings: Settings, as_of: date, is_final: bool) -> None:
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    settings.published_file.unlink(missing_ok=True)
    with duckdb.connect(str(settings.published_file)) as con:
        build_state.create_history_schema(con)
        build_state.add_built_date(con, build_state.BuiltDate(as_of, is_final, NOW))


def look(settings: Settings, cursor: str | None = None) -> dg.SensorResult | str:
    # a file's status changes when the test writes it: by the machine's clock that is now
    result = ask_for_today(settings, datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=61), cursor)
    return result if isinstance(result, dg.SensorResult) else result.skip_message


def test_new_files_ask_for_a_run_of_today_once(settings: Settings) -> None:
    published(settings, YESTERDAY, is_final=True)
    land(settings, "a.csv")
    result = look(settings)
    assert [request.partition_key for request in result.run_requests] == ["2026-07-01"]
    assert look(settings, result.cursor) == "No new files have settled."
    land(settings, "b.csv")
    again = look(settings, result.cursor)
    assert again.cursor != result.cursor
    assert again.run_requests[0].run_key != result.run_requests[0].run_key


def test_a_file_that_is_overwritten_is_new(settings: Settings) -> None:
    published(settings, YESTERDAY, is_final=True)
    land(settings, "a.csv")
    cursor = look(settings).cursor
    # a copy that keeps the old time is new all the same
    land(settings, "a.csv")
    assert look(settings, cursor).run_requests


def test_a_file_that_is_still_being_written_is_left_for_later(settings: Settings) -> None:
    published(settings, YESTERDAY, is_final=True)
    land(settings, "a.csv")
    cursor = look(settings).cursor
    land(settings, "b.csv")
    soon = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=30)
    assert ask_for_today(settings, soon, cursor).skip_message == "No new files have settled."
    assert look(settings, cursor).run_requests


def test_a_file_that_is_gone_asks_for_nothing(settings: Settings) -> None:
    published(settings, YESTERDAY, is_final=True)
    land(settings, "a.csv")
    land(settings, "b.csv")
    cursor = look(settings).cursor
    (settings.landing / "orders" / "b.csv").unlink()
    assert look(settings, cursor) == "No new files have settled."


@pytest.mark.parametrize(
    ("as_of", "is_final"), [(None, True), (date(2026, 6, 29), True), (YESTERDAY, False), (TODAY, False)]
)
def test_it_waits_for_the_nightly_run_of_yesterday(settings: Settings, as_of: date | None, is_final: bool) -> None:
    if as_of is not None:
        published(settings, as_of, is_final)
    land(settings, "a.csv")
    assert look(settings) == "The nightly run for 2026-06-30 has not published yet."


def test_without_a_folder_it_says_so(settings: Settings, tmp_path: Path) -> None:
    away = Settings(tmp_path / "away", settings.data, YESTERDAY, TODAY)
    assert look(away) == f"There is no folder {away.landing}."


def test_as_dagster_evaluates_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, repository: dg.RepositoryDefinition
) -> None:
    published(settings, YESTERDAY, is_final=True)
    land(settings, "a.csv")
    for name, value in {
        "LANDING": settings.landing,
        "DATA": settings.data,
        "TODAY": TODAY,
        "SETTLE_SECONDS": 0,
    }.items():
        monkeypatch.setenv(f"BAROMETER_{name}", str(value))
    with dg.build_sensor_context(repository_def=repository) as context:
        tick = landing_sensor().evaluate_tick(context)
    assert [request.partition_key for request in tick.run_requests] == ["2026-07-01"]
    assert tick.cursor
