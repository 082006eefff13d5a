"""Dagster's record of events, with connections that stay open: the same record, read by Dagster's own class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._check import CheckError
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from orchestration.command_line import prepare_dagster_home
from orchestration.event_log import _MOST_OPEN, OpenSqliteEventLogStorage
from orchestration.settings import ROOT, settings_from_environment


@dg.asset(check_specs=[dg.AssetCheckSpec("good", asset="counted")])
def counted() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"rows": 7}, check_results=[dg.AssetCheckResult(passed=True)])


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dagster's folder, with the settings of the project."""
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    settings = settings_from_environment({"BAROMETER_DATA": str(tmp_path)})
    prepare_dagster_home(settings)
    return settings.dagster_home


@pytest.fixture
def instance(home: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.get() as instance:
        yield instance


def test_it_is_what_the_project_asks_for(instance: dg.DagsterInstance) -> None:
    settings = yaml.safe_load((ROOT / "orchestration" / "dagster.yaml").read_text())
    assert settings["event_log_storage"]["class"] == OpenSqliteEventLogStorage.__name__
    dg.materialize([counted], instance=instance)
    assert instance.get_latest_materialization_event(dg.AssetKey("counted"))


def test_dagsters_own_class_reads_the_same(instance: dg.DagsterInstance, home: Path) -> None:
    runs = [dg.materialize([counted], instance=instance).run_id for _ in range(3)]
    stock = SqliteEventLogStorage(str(home / "history" / "runs"))
    stock.register_instance(instance)
    for run_id in runs:
        events = stock.get_logs_for_run(run_id)
        assert [e.timestamp for e in events] == [e.timestamp for e in instance.all_logs(run_id)]
        kinds = {e.dagster_event.event_type_value for e in events if e.dagster_event}
        assert {"ASSET_MATERIALIZATION", "ASSET_CHECK_EVALUATION", "STEP_SUCCESS"} <= kinds
    key = dg.AssetKey("counted")
    assert {e.run_id for e in instance.fetch_materializations(key, limit=9).records} == set(runs)


def test_of_a_run_that_is_deleted_nothing_stays_and_of_others_all(instance: dg.DagsterInstance, home: Path) -> None:
    gone, kept = (dg.materialize([counted], instance=instance).run_id for _ in range(2))
    instance.delete_run(gone)
    files = {path.stem for path in (home / "history" / "runs").glob("*.db*")}
    assert files == {kept, "index"}
    assert instance.all_logs(kept)
    assert {e.run_id for e in instance.fetch_materializations(dg.AssetKey("counted"), limit=9).records} == {kept}


def test_few_files_stay_open(home: Path) -> None:
    storage = OpenSqliteEventLogStorage(str(home))
    for number in range(3 * _MOST_OPEN):
        with storage.run_connection(f"run-{number}"):
            pass
    assert len(storage._engines) == _MOST_OPEN
    storage.dispose()
    assert not storage._engines
    # and it goes on
    with storage.run_connection("run-0"):
        pass


def test_a_transaction_that_fails_leaves_nothing(home: Path) -> None:
    storage = OpenSqliteEventLogStorage(str(home))
    with pytest.raises(ZeroDivisionError), storage.index_connection() as connection:
        connection.exec_driver_sql("create table t(n integer)")
        connection.exec_driver_sql("insert into t values (1)")
        raise ZeroDivisionError
    with storage.index_connection() as connection:
        tables = connection.exec_driver_sql("select name from sqlite_master where name = 't'").fetchall()
        assert not tables or not connection.exec_driver_sql("select * from t").fetchall()


def test_what_a_run_plans_is_stored_at_once_and_is_the_same(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    store = OpenSqliteEventLogStorage.store_event_batch

    def counting(storage: OpenSqliteEventLogStorage, events: Sequence[EventLogEntry]) -> None:
        sizes.append(len(events))
        store(storage, events)

    monkeypatch.setattr(OpenSqliteEventLogStorage, "store_event_batch", counting)
    job = dg.Definitions(assets=[counted], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")

    def kinds_of_run() -> list[str]:
        run = job.execute_in_process(instance=instance)
        return sorted(e.dagster_event.event_type_value for e in instance.all_logs(run.run_id) if e.dagster_event)

    at_once = kinds_of_run()
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "0")
    assert (kinds_of_run(), sizes) == (at_once, [2])
    assert {"ASSET_MATERIALIZATION_PLANNED", "ASSET_CHECK_EVALUATION_PLANNED"} <= set(at_once)


def test_of_a_batch_that_fails_nothing_is_stored(instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    assert isinstance(storage, OpenSqliteEventLogStorage)
    entries = instance.all_logs(dg.materialize([counted], instance=instance).run_id)
    count = len(entries)
    assert count > 3
    with pytest.raises(CheckError):
        storage.store_event_batch([*entries[:3], None])  # type: ignore[list-item]
    assert len(instance.all_logs(entries[0].run_id)) == count
    storage.store_event_batch(entries[:3])
    assert len(instance.all_logs(entries[0].run_id)) == count + 3
