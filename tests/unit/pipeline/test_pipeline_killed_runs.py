"""Dagster runs that were killed: marked as failed by the next run, and only those."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterRunStatus as Status

from orchestration.resources import PID_TAG, RUN_TAG, clear_killed_runs

ALIVE = os.getpid()


@pytest.fixture
def dead() -> int:
    """Number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def add_run(
    instance: dg.DagsterInstance, status: Status, pid: int | None, lock: str | None = None, owner: str = ""
) -> str:
    run_id = str(uuid.uuid4())
    tags = {PID_TAG: str(pid), RUN_TAG: owner or run_id} if pid else {}
    if lock:
        tags["barometer/lock"] = lock
    return instance.add_run(dg.DagsterRun(job_name="nightly", run_id=run_id, status=status, tags=tags)).run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> Status:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


@pytest.mark.parametrize("status", [Status.NOT_STARTED, Status.STARTING, Status.STARTED, Status.CANCELING])
@pytest.mark.parametrize("lock", [None, "held", "released"])
def test_an_unfinished_run_of_a_dead_process_has_failed(
    instance: dg.DagsterInstance, dead: int, status: Status, lock: str | None
) -> None:
    run_id = add_run(instance, status, dead, lock)
    assert clear_killed_runs(instance, "mine") == [run_id]
    assert status_of(instance, run_id) == Status.FAILURE
    assert clear_killed_runs(instance, "mine") == []


def test_a_run_that_never_let_go_of_the_lock_is_gone_whatever_its_number(
    instance: dg.DagsterInstance,
) -> None:
    run_id = add_run(instance, Status.STARTED, ALIVE, "held")
    assert clear_killed_runs(instance, "mine") == [run_id]
    assert status_of(instance, run_id) == Status.FAILURE


def test_waiting_ending_finished_and_foreign_runs_stay_as_they_are(instance: dg.DagsterInstance, dead: int) -> None:
    runs = {
        add_run(instance, Status.STARTED, ALIVE): Status.STARTED,
        add_run(instance, Status.STARTED, ALIVE, "released"): Status.STARTED,
        add_run(instance, Status.SUCCESS, dead): Status.SUCCESS,
        add_run(instance, Status.FAILURE, dead): Status.FAILURE,
        add_run(instance, Status.NOT_STARTED, None): Status.NOT_STARTED,
        add_run(instance, Status.STARTED, None): Status.STARTED,
        # a run that repeats a killed one has its tags until it writes its own
        add_run(instance, Status.STARTING, dead, "held", owner="the killed run"): Status.STARTING,
        add_run(instance, Status.STARTED, ALIVE, "held", owner="the killed run"): Status.STARTED,
    }
    mine = add_run(instance, Status.STARTED, dead, "held")
    assert clear_killed_runs(instance, mine) == []
    for run_id, status in {**runs, mine: Status.STARTED}.items():
        assert status_of(instance, run_id) == status


def test_the_slots_of_a_killed_run_are_freed(instance: dg.DagsterInstance, dead: int) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("duckdb", 1)
    killed = add_run(instance, Status.STARTED, dead)
    assert storage.claim_concurrency_slot("duckdb", killed, "dbt").is_claimed
    assert storage.get_concurrency_info("duckdb").active_run_ids == {killed}
    clear_killed_runs(instance, "mine")
    assert storage.get_concurrency_info("duckdb").active_run_ids == set()
    assert storage.claim_concurrency_slot("duckdb", "mine", "dbt").is_claimed
