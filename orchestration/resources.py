"""The one resource of every job: the warehouse's files and settings, held under its lock for the length of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg
from pydantic import PrivateAttr

from orchestration.settings import Settings, settings_from_environment
from orchestration.warehouse.lock import warehouse_lock

#: What people read while a run goes on, on the command line and in the run's log in the UI.
log = logging.getLogger("barometer")

#: Which process a run lives in, and whether it holds the lock.
PID_TAG, _LOCK_TAG = "barometer/pid", "barometer/lock"
_UNFINISHED = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


class Warehouse(dg.ConfigurableResource):
    """Settings from the environment, and the lock: one run writes at a time.

    Needs an in-process executor, where a resource lives as long as its run.
    """

    lock_wait_seconds: float = 1800
    _settings: Settings = PrivateAttr()
    _lock: int = PrivateAttr()

    @property
    def settings(self) -> Settings:
        """Folders, dates and policy of the run."""
        return self._settings

    @property
    def lock(self) -> int:
        """Descriptor of the lock, for the child that shall hold it too."""
        return self._lock

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Warehouse, None, None]:
        """Take the lock, then clear away runs that were killed while they held it."""
        self._settings = settings_from_environment()
        run_id, instance = context.run_id, context.instance
        if instance is not None and run_id is not None:
            instance.add_run_tags(run_id, {PID_TAG: str(os.getpid())})
        with warehouse_lock(self._settings.warehouse, self.lock_wait_seconds, log.info) as self._lock:
            if instance is None or run_id is None:
                yield self
                return
            clear_killed_runs(instance, run_id)
            instance.add_run_tags(run_id, {_LOCK_TAG: "held"})
            try:
                yield self
            finally:
                instance.add_run_tags(run_id, {_LOCK_TAG: "released"})


def clear_killed_runs(instance: dg.DagsterInstance, run_id: str | None) -> list[str]:
    """Mark unfinished runs that were killed as failed and free their pool slots; return their ids.

    A killed run stays STARTED and keeps its slots for ever otherwise. Whoever calls it holds the lock, so a run that
    never let go of it is gone, even if its process number lives again (in a container it often does); one that waits
    for it, or is about to end, lives as long as its process.
    """
    cleared = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        pid = run.tags.get(PID_TAG)
        if run.run_id == run_id or pid is None or (run.tags.get(_LOCK_TAG) != "held" and _is_alive(int(pid))):
            continue
        instance.report_run_failed(run, message="The process of this run is gone; the next run cleared it away.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        cleared.append(run.run_id)
    return cleared


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
