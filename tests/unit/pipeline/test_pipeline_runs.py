"""The record of runs: a row a run and stage, whatever becomes of it, published with the stages of the same run."""

import sqlite3
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import duckdb
import pytest

from orchestration import clock
from orchestration.errors import BarometerError
from orchestration.publish.publish import publish
from orchestration.report import pipeline_runs
from orchestration.report.pipeline_runs import Run, close_killed, finished, in_short, of_run, recording
from orchestration.report.recording import recorded
from orchestration.settings import Settings
from orchestration.warehouse import build_state, prepare

DAY = date(2026, 6, 30)
NOW = datetime(2026, 7, 1, 3, 0, 0, 5)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return tmp_path / "warehouse" / "activation.sqlite"


def shown(file: Path, *columns: str) -> list[tuple[Any, ...]]:
    places = [list(pipeline_runs.COLUMNS).index(column) for column in columns]
    return [tuple(row[place] for place in places) for row in finished(file)]


def test_a_stage_says_what_it_took(file: Path) -> None:
    with recording(file, Run("r", DAY, "nightly"), "load") as told:
        told.rows = 7
        assert finished(file) == [], "what goes on is not published"
    ((run_id, as_of, kind, stage, started_at, rows, seconds, memory, outcome, error),) = finished(file)
    assert (run_id, as_of, kind, stage) == ("r", "2026-06-30", "nightly", "load")
    assert (started_at, rows, outcome, error) == ("2026-07-01 03:00:00.000005", 7, "succeeded", None)
    assert 0 <= seconds < 60
    assert 20 < memory < 100_000, "in megabytes"
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_stage_that_fails_keeps_why_but_nothing_that_a_row_held(file: Path) -> None:
    message = "anna@example.org can't be read: it is no number\nand more of it"
    for stage, error in (("load", ValueError(message)), ("build", BarometerError("dbt failed; " + message))):
        with pytest.raises(type(error)), recording(file, Run("r", DAY, "nightly"), stage):
            raise error
    assert shown(file, "stage", "outcome", "error") == [
        ("build", "failed", "dbt failed"),
        ("load", "failed", "ValueError"),
    ]


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("dbt failed; the published file stays as it was.\n  rows", "dbt failed; the published file stays as it was"),
        ("No extract is written: 2 rejected rows", "No extract is written"),
        ("The planned contacts in /data/anna are others", "The planned contacts in"),
        ("'anna' can't be the name", "BarometerError"),
        ("+4930123456 is no user", "BarometerError"),
        ("12.5% of the user_ids look like addresses", "12.5% of the user_ids look like addresses"),
    ],
)
def test_of_our_own_messages_what_has_no_value_in_it_is_kept(message: str, kept: str) -> None:
    assert in_short(BarometerError(message)) == kept


def test_a_killed_run_is_closed_by_the_next_one(file: Path) -> None:
    going_on = recording(file, Run("killed", DAY, "nightly"), "build")
    going_on.__enter__()
    with recording(file, Run("mine", DAY, "nightly"), "load"):
        close_killed(file, "mine")
        assert shown(file, "run_id", "outcome", "seconds") == [("killed", "killed", None)]
        assert [row["outcome"] for row in of_run(file, "mine")] == [None]


def test_a_record_that_cannot_be_written_fails_nothing(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.parent.mkdir()
    file.write_text("no database, " * 99)
    done = []
    with recording(file, Run("r", DAY, "nightly"), "load"):
        done.append(1)
    close_killed(file, "r")
    assert (finished(file), of_run(file, "r"), done) == ([], [], [1])
    assert "the record of runs, can't be used" in caplog.text


# what the stages' assets say


def metadata(**values: Any) -> dict[str, Any]:
    return {
        name.replace("row_count", "dagster/row_count"): dg.MetadataValue.int(v) if isinstance(v, int) else v
        for name, v in values.items()
    }


@pytest.mark.parametrize(
    ("events", "rows", "outcome"),
    [
        ([metadata(row_count=3), metadata(row_count=4), metadata()], 7, "succeeded"),
        ([metadata(skipped="same")] * 2, None, "skipped"),
        # an intraday run leaves the plan out
        ([metadata(row_count=3), metadata(skipped="plans nothing")], 3, "succeeded"),
        ([metadata(skipped="plans nothing"), metadata(row_count=3)], 3, "succeeded"),
        ([], None, "succeeded"),
    ],
)
def test_rows_and_skipping_are_what_the_events_say(
    tmp_path: Path, events: list[dict[str, Any]], rows: int | None, outcome: str
) -> None:
    settings = Settings(tmp_path, tmp_path, DAY, DAY)

    @recorded("build")
    def stage(warehouse: Any) -> Iterator[dg.MaterializeResult]:
        yield from (dg.MaterializeResult(metadata=event) for event in events)

    list(stage(warehouse=SimpleNamespace(settings=settings, kind="nightly", run_id="r")))
    assert shown(settings.activation_file, "rows", "outcome") == [(rows, outcome)]


def test_dagster_sees_what_a_recorded_asset_asks_for(tmp_path: Path) -> None:
    class Fake(dg.ConfigurableResource):
        kind: str = "nightly"
        run_id: str = "r"

        @property
        def settings(self) -> Settings:
            return Settings(tmp_path, tmp_path, DAY, DAY)

    @dg.asset
    @recorded("load", rows="rows_read")
    def loaded(context: dg.AssetExecutionContext, warehouse: Fake) -> Iterator[dg.MaterializeResult]:
        yield dg.MaterializeResult(metadata={"rows_read": 2, "dagster/row_count": 9})
        raise BarometerError("Nothing is right.")

    assert not dg.materialize([loaded], resources={"warehouse": Fake()}, raise_on_error=False).success
    assert shown(tmp_path / "warehouse" / "activation.sqlite", "rows", "outcome", "error") == [
        (2, "failed", "Nothing is right")
    ]


# how it gets into the published file


def test_models_read_what_has_ended_by_then(file: Path) -> None:
    with recording(file, Run("r", DAY, "nightly"), "load"):
        pass
    with duckdb.connect() as con, recording(file, Run("r", DAY, "nightly"), "build"):
        prepare.create_control_schema(con)
        prepare.write_pipeline_runs(con, file)
        prepare.write_pipeline_runs(con, file)
        assert con.execute("select stage, as_of, started_at, outcome from control.pipeline_runs").fetchall() == [
            ("load", DAY, NOW, "succeeded")
        ]


def test_the_published_file_has_the_stages_of_the_same_run_and_the_build_is_left_alone(file: Path) -> None:
    folder = file.parent
    folder.mkdir()
    with duckdb.connect(str(folder / "build.duckdb")) as con:
        build_state.create_history_schema(con)
        con.execute("create schema marts")
        con.execute("create table marts.user_360 as select 'u' as user_id")
        con.execute(
            "create table marts.build_info as select ?::date as as_of, true as is_final, now() as built_at", [DAY]
        )
        columns = ", ".join(f"{name} {type_}" for name, type_ in pipeline_runs.COLUMNS.items())
        con.execute(f"create table marts.pipeline_runs({columns})")
        con.execute("comment on column marts.pipeline_runs.seconds is 'How long it took (seconds)'")
        build_state.store_fingerprint(con, "f")
    for stage in ("load", "build"):
        with recording(file, Run("r", DAY, "nightly"), stage):
            pass
    with recording(file, Run("r", DAY, "nightly"), "publish"):
        done = publish(
            folder / "build.duckdb", folder / "barometer.duckdb", DAY, 0.001, "stop", None, {}, runs=finished(file)
        )
    assert done.rows["pipeline_runs"] == 2
    with duckdb.connect(str(folder / "barometer.duckdb"), read_only=True) as con:
        assert con.execute("select stage from marts.pipeline_runs order by all").fetchall() == [("build",), ("load",)]
        assert con.execute("select comment from duckdb_columns() where column_name = 'seconds'").fetchall() == [
            ("How long it took (seconds)",)
        ]
    with duckdb.connect(str(folder / "build.duckdb"), read_only=True) as con:
        assert con.execute("select count(*) from marts.pipeline_runs").fetchall() == [(0,)]
    # another build with the same fingerprint publishes nothing, whatever was recorded since
    again = publish(
        folder / "build.duckdb", folder / "barometer.duckdb", DAY, 0.001, "stop", None, {}, runs=finished(file)
    )
    assert again.is_same


def test_a_year_of_runs_is_written_in_no_time(file: Path) -> None:
    with recording(file, Run("r", DAY, "intraday"), "load"):
        pass
    with sqlite3.connect(file) as db:
        db.executemany(
            "insert into pipeline_runs select ?, as_of, kind, stage, started_at, rows, seconds, peak_memory_mb, "
            "outcome, error from pipeline_runs where run_id = 'r'",
            [(f"r{number}",) for number in range(30_000)],
        )
    with duckdb.connect() as con:
        prepare.create_control_schema(con)
        started = datetime.now()
        prepare.write_pipeline_runs(con, file)
        assert (datetime.now() - started).total_seconds() < 5
        assert con.execute("select count(*) from control.pipeline_runs").fetchall() == [(30_001,)]
