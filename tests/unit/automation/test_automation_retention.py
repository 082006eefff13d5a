"""A nightly run begins by removing what is too old, and nothing else."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration import clock
from orchestration.automation.retention import Run, old_extracts, old_files, old_runs, remove_what_is_old
from orchestration.command_line import prepare_dagster_home
from orchestration.landing.schema import create_raw_schema
from orchestration.report import pipeline_runs
from orchestration.settings import Settings
from orchestration.warehouse.files import open_duckdb

NOW = datetime(2026, 7, 1, 3)
TODAY = date(2026, 7, 1)
OWN = str(uuid.UUID(int=999))


def test_what_is_as_old_as_the_policy_says_stays() -> None:
    exactly, over = NOW - timedelta(days=30), NOW - timedelta(days=30, seconds=1)
    runs = [Run("stays", False, exactly), Run("goes", False, over)]
    runs += [Run("stays too", True, NOW - timedelta(days=2)), Run("goes too", True, NOW - timedelta(days=2, seconds=1))]
    assert old_runs(runs, NOW, 30, 2) == ["goes", "goes too"]
    seconds = {path: at.replace(tzinfo=UTC).timestamp() for path, at in ((Path("a"), exactly), (Path("b"), over))}
    assert old_files(seconds.items(), NOW, 30) == [Path("b")]


def test_extracts_go_by_their_plan_date() -> None:
    folders = [Path(name) for name in ("2026-05-30", "2026-05-31", "2026-06-30", ".2026-01-01.tmp", "2026-1-1", "mine")]
    # that of 31 May was for 1 June, 30 days ago
    assert old_extracts(folders, TODAY, 30) == [Path("2026-05-30")]


class World:
    """A data folder with 60 runs: a run a day, every third of them an intraday one."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(folder / "landing", folder / "data", TODAY - timedelta(days=1), TODAY)
        self.runs = {age: str(uuid.UUID(int=age + 1)) for age in range(60)}
        self.intraday = {age for age in self.runs if age % 3 == 0}
        self.history = self.settings.dagster_home / "history" / "runs"
        prepare_dagster_home(self.settings)
        self.instance = dg.DagsterInstance.from_config(str(self.settings.dagster_home))
        self._fill()

    def _fill(self) -> None:
        settings = self.settings
        for age, run_id in self.runs.items():
            job = "intraday" if age in self.intraday else "nightly"
            self._add(run_id, job, dg.DagsterRunStatus.SUCCESS, age)
        # a run that never ended, whatever the reason, is not this one's to delete
        self.unfinished = str(uuid.UUID(int=500))
        self._add(self.unfinished, "nightly", dg.DagsterRunStatus.STARTED, 90)
        self._add(OWN, "nightly", dg.DagsterRunStatus.STARTED, 0)
        # deleted in the UI, which leaves the file
        self._leave_files(str(uuid.UUID(int=600)), 90)
        for name, age in (("2026-04-01", 90), ("2026-06-20", 10)):
            self.touch(settings.backfills / f"{name}.duckdb", age)
            self.touch(settings.extracts / name / "rfm" / "champions.csv", age)
            self.touch(settings.planned_contacts / name / "0123456789abcdef.parquet", age)
            self.touch(settings.landing / "orders" / f"{name}.csv", age)
            self.touch(settings.warehouse / "dbt" / "compiled" / f"{name}.sql", age)
        self.touch(settings.build_file, 90)
        self.touch(settings.published_file, 90)
        with open_duckdb(settings.working_file) as con:
            create_raw_schema(con)
            for load_id, age in ((1, 31), (2, 29)):
                at = NOW - timedelta(days=age)
                con.execute("insert into raw.load_files(load_id, loaded_at) values (?, ?)", [load_id, at])
                con.execute(
                    "insert into raw.rejected_rows values (?, 'users', 'users/a.csv', 'sha', 7, ?, 'anna')",
                    [load_id, "missing_user_id"],
                )
                con.execute(
                    "insert into raw.rejected_files values ('users', ?, 'sha', 1, 1, 'bad_gzip', 'anna', ?)",
                    [f"users/{age}.gz", at],
                )

    def _add(self, run_id: str, job: str, status: dg.DagsterRunStatus, age: int) -> None:
        self.instance.add_run(dg.DagsterRun(job_name=job, run_id=run_id, status=status))
        self._leave_files(run_id, age)
        with sqlite3.connect(self.settings.dagster_home / "history" / "runs.db") as con:
            at = NOW - timedelta(days=age, minutes=1)
            con.execute("update runs set create_timestamp = ? where run_id = ?", [at.isoformat(sep=" "), run_id])

    def _leave_files(self, run_id: str, age: int) -> None:
        """The files of a run, as Dagster and dbt leave them; making a file of events takes Dagster a while."""
        made = next((path for path in self.history.glob("*.db") if path.stem != "index"), None)
        if made is None:
            self.instance.report_engine_event("begins", run_id=run_id, job_name="nightly")
        else:
            shutil.copyfile(made, self.history / f"{run_id}.db")
        self.touch(self.history / f"{run_id}.db", age)
        self.touch(self.settings.dagster_home / "storage" / run_id / "compute_logs" / "a.out", age)
        self.touch(self.settings.dbt_log(run_id), age)

    @staticmethod
    def touch(path: Path, age: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        seconds = (NOW - timedelta(days=age, minutes=1)).replace(tzinfo=UTC).timestamp()
        os.utime(path, (seconds, seconds))

    def remove(self) -> dict[str, int]:
        return remove_what_is_old(self.settings, self.instance, OWN)

    def names(self, folder: Path, pattern: str = "*") -> set[str]:
        return {path.stem for path in folder.glob(pattern)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setattr(clock, "now", lambda: NOW)
        world = World(tmp_path_factory.mktemp("retention"))
        world.first = world.remove()  # type: ignore[attr-defined]
        yield world
        world.instance.dispose()


def test_it_says_what_it_removed_and_then_finds_nothing_more(world: World, caplog: pytest.LogCaptureFixture) -> None:
    first = world.first  # type: ignore[attr-defined]
    assert first == {
        "runs": 60 - len(kept(world)),
        # that of the run that never ended
        "logs": 1,
        "files of dbt": 1,
        "builds of older dates": 1,
        "days of extracts": 1,
        "contents of rejected rows and files": 2,
    }
    started = time.perf_counter()
    with caplog.at_level(logging.INFO, "barometer"):
        assert world.remove() == {}
    assert caplog.text == ""
    # nothing to do must cost a run nothing that anybody notices
    assert time.perf_counter() - started < 1


def kept(world: World) -> set[str]:
    return {run_id for age, run_id in world.runs.items() if age < (2 if age in world.intraday else 30)}


def test_old_runs_go_with_all_that_dagster_and_dbt_leave_of_them(world: World) -> None:
    wanted = kept(world) | {OWN, world.unfinished}
    assert {run.run_id for run in world.instance.get_runs()} == wanted
    assert world.names(world.history, "*.db") - {"index"} == wanted
    assert {path.name for path in (world.settings.dagster_home / "storage").iterdir()} == wanted
    # the log of a run that never ended is as old as it is
    assert world.names(world.settings.logs) == {f"dbt-{run_id}" for run_id in wanted - {world.unfinished}}


def test_old_builds_and_extracts_go_and_what_nobody_can_make_again_stays(world: World) -> None:
    settings = world.settings
    assert world.names(settings.backfills) == {"2026-06-20"}
    assert world.names(settings.extracts) == {"2026-06-20"}
    assert world.names(settings.warehouse / "dbt" / "compiled") == {"2026-06-20"}
    for folder in (settings.planned_contacts, settings.landing / "orders"):
        assert world.names(folder) == {"2026-04-01", "2026-06-20"}
    assert settings.build_file.exists()
    assert settings.published_file.exists()


def test_of_old_rejects_only_the_place_and_the_reason_stay(world: World) -> None:
    with duckdb.connect(str(world.settings.working_file), read_only=True) as con:
        assert con.execute(
            "select load_id, row_number, reason, content from raw.rejected_rows order by load_id"
        ).fetchall() == [(1, 7, "missing_user_id", None), (2, 7, "missing_user_id", "anna")]
        assert con.execute("select file, reason, detail from raw.rejected_files order by file").fetchall() == [
            ("users/29.gz", "bad_gzip", "anna"),
            ("users/31.gz", "bad_gzip", None),
        ]


def test_the_record_of_runs_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "activation.sqlite"
    for age, kind in ((401, "nightly"), (400, "nightly"), (31, "intraday"), (30, "intraday")):
        monkeypatch.setattr(clock, "now", lambda age=age: NOW - timedelta(days=age))
        with pipeline_runs.recording(file, pipeline_runs.Run(f"{age}", TODAY, kind), "load"):
            pass
    assert pipeline_runs.forget(file, NOW, 400, 30) == 2
    assert [row[0] for row in pipeline_runs.finished(file)] == ["400", "30"]


def test_what_cannot_be_removed_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(tmp_path / "landing", tmp_path / "data", TODAY - timedelta(days=1), TODAY)
    settings.working_file.parent.mkdir(parents=True)
    settings.working_file.write_text("no database")
    with dg.DagsterInstance.ephemeral() as instance:
        assert remove_what_is_old(settings, instance, OWN) == {}
    assert "Warning: contents of rejected rows and files that are too old can't be removed" in caplog.text
