"""The one resource of every job: the warehouse's files and settings, held under its lock for the length of a run."""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date

import dagster as dg
from pydantic import PrivateAttr

from orchestration.automation.retention import remove_what_is_old
from orchestration.errors import BarometerError
from orchestration.policy import check_policy
from orchestration.report.pipeline_runs import close_killed
from orchestration.settings import Settings, settings_from_environment
from orchestration.warehouse import prepare
from orchestration.warehouse.build import (
    BACKFILL,
    INTRADAY,
    NIGHTLY,
    Build,
    build_of,
    clear_half_made,
    kind_of,
    refuse_wrong_clock,
)
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.lock import LOCK_WAIT_SECONDS, warehouse_lock

#: What people read while a run goes on, on the command line and in the run's log in the UI.
log = logging.getLogger("barometer")

#: The pool of every op that writes a DuckDB file: one at a time.
WRITER_POOL = "duckdb_writer"

#: Which process a run lives in, and whether it holds the lock. Dagster gives a run's tags to those that repeat it, so
#: the third says whose they are.
PID_TAG, _LOCK_TAG, RUN_TAG = "barometer/pid", "barometer/lock", "barometer/run"
#: On a run whose date nobody named.
DEFAULT_DATE_TAG = "barometer/default_date"
#: Dagster's own tags: the date of a run, how often it is run again by itself, and the schedule that asked for it.
_PARTITION_TAG, _MAX_RETRIES_TAG, _SCHEDULE_TAG = "dagster/partition", "dagster/max_retries", "dagster/schedule_name"
_RANGE_TAGS = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
#: A command's run has its tags before it has started, and may be killed between the two.
_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class Warehouse(dg.ConfigurableResource):
    """Settings from the environment, and the lock: one run writes at a time.

    A run with a partition is of that date. Needs an in-process executor, where a resource lives as long as its run.
    """

    lock_wait_seconds: float = LOCK_WAIT_SECONDS
    _settings: Settings = PrivateAttr()
    _lock: int = PrivateAttr()
    _kind: str = PrivateAttr()
    _run_id: str = PrivateAttr()
    _build: Build | None = PrivateAttr(default=None)
    _held: ExitStack = PrivateAttr()
    _is_held: bool = PrivateAttr(default=False)
    _blocked: str | None = PrivateAttr(default=None)

    @property
    def is_held(self) -> bool:
        """Whether the run still holds the lock."""
        return self._is_held

    @property
    def blocked(self) -> str | None:
        """Why nobody may be added at a provider, by what was known when the run let go of the lock; None: they may."""
        return self._blocked

    def release(self, blocked: str | None = None) -> None:
        """Let other runs write while this one goes on with what needs no DuckDB file."""
        self._is_held, self._blocked = False, blocked
        self._held.close()

    @property
    def settings(self) -> Settings:
        """Folders, dates and policy of the run."""
        return self._settings

    @property
    def lock(self) -> int:
        """Descriptor of the lock, for the child that shall hold it too."""
        return self._lock

    @property
    def kind(self) -> str:
        """Nightly, intraday or backfill."""
        return self._kind

    @property
    def run_id(self) -> str:
        """Dagster's name of the run."""
        return self._run_id

    def build(self) -> Build:
        """Return what the run builds, from all that is loaded. Nothing else loads while the lock is held."""
        if self._build is None:
            self._build = build_of(self._settings)
        return self._build

    def has_loaded(self) -> None:
        """Forget what the run builds: it follows from what is loaded."""
        self._build = None

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator[Warehouse, None, None]:
        """Take the lock, then clear away runs that were killed while they held it."""
        run, instance = context.run, context.instance
        if run is None or instance is None:
            raise BarometerError("The warehouse is a resource of runs alone.")
        with ExitStack() as stack:
            try:
                self._begin(run, instance, stack)
            except BarometerError:
                # it would fail again
                instance.add_run_tags(run.run_id, {_MAX_RETRIES_TAG: "0"})
                raise
            yield self

    def _begin(self, run: dg.DagsterRun, instance: dg.DagsterInstance, stack: ExitStack) -> None:
        """Take the lock; what is to be done at the end of the run goes on ``stack``."""

        def tag(lock: str) -> None:
            own = {RUN_TAG: run.run_id, PID_TAG: str(os.getpid()), _LOCK_TAG: lock}
            instance.add_run_tags(run.run_id, own)

        check_policy()
        self._held = stack.enter_context(ExitStack())
        self._run_id = run.run_id
        self._settings = _of_its_date(settings_from_environment(), run.tags)
        tag("waiting")
        waiting = warehouse_lock(self._settings.warehouse, self.lock_wait_seconds, log.info)
        self._lock = self._held.enter_context(waiting)
        self._is_held = True
        tag("held")
        self._held.callback(tag, "released")
        clear_killed_runs(instance, run.run_id)
        close_killed(self._settings.activation_file, run.run_id)
        clear_half_made(self._settings)
        self._held.callback(clear_half_made, self._settings)
        self._build = None
        _refuse_other_rows(self._settings)
        refuse_wrong_clock(self._settings, _is_date_asked_for(self._settings, run.tags))
        self._kind = kind_of(self._settings)
        _refuse_another_kind(run.job_name, self._kind, self._settings.as_of)
        if self._kind == NIGHTLY:
            remove_what_is_old(self._settings, instance, run.run_id)
        instance.add_run_tags(run.run_id, {"barometer/kind": self._kind})


def _refuse_other_rows(settings: Settings) -> None:
    """Raise BarometerError where the warehouse was filled otherwise: of a sample, say, whose dates tell nothing."""
    if not (settings.working_file.exists() and settings.landing.is_dir()):
        return
    with open_duckdb(settings.working_file) as con:
        prepare.create_control_schema(con)
        facts = prepare.facts_of(settings.landing, settings.policy["business_time_zone"])
        prepare.check_facts(con, facts, is_remembered=False)


def _refuse_another_kind(job: str, kind: str, as_of: date) -> None:
    """Raise BarometerError where somebody asks the job of one kind of run for a date of another."""
    if job in (INTRADAY, BACKFILL) and job != kind:
        raise BarometerError(
            f"{as_of} is no date for the job {job}: a run of it is {kind}.",
            f"Choose another date, or the job {kind}.",
        )


def _of_its_date(settings: Settings, tags: Mapping[str, str]) -> Settings:
    """Return the settings for the date that a run's tags name, as they are without one."""
    first, last = (tags.get(tag) for tag in _RANGE_TAGS)
    if first != last:
        raise BarometerError(f"A run builds one date, not those from {first} to {last}.", "Start a run for each date.")
    partition = tags.get(_PARTITION_TAG) or first
    return replace(settings, as_of=date.fromisoformat(partition)) if partition else settings


def _is_date_asked_for(settings: Settings, tags: Mapping[str, str]) -> bool:
    """Whether somebody named the date of a run: not the schedule, and not a command that took the default."""
    if settings.is_as_of_given or settings.is_today_given:
        return True
    return _PARTITION_TAG in tags and _SCHEDULE_TAG not in tags and DEFAULT_DATE_TAG not in tags


def clear_killed_runs(instance: dg.DagsterInstance, run_id: str | None) -> list[str]:
    """Mark unfinished runs that were killed as failed and free their pool slots; return their ids.

    A killed run stays STARTED and keeps its slots for ever otherwise. Whoever calls it holds the lock.
    """
    killed = killed_runs(instance, run_id)
    for run in killed:
        # whoever clears it does its work too
        instance.add_run_tags(run.run_id, {_MAX_RETRIES_TAG: "0"})
        instance.report_run_failed(run, message="The process of this run is gone; the next run cleared it away.")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run.run_id for run in killed]


def killed_runs(instance: dg.DagsterInstance, run_id: str | None = None) -> list[dg.DagsterRun]:
    """Return unfinished runs that were killed, but for the run ``run_id``. Whoever calls it holds the lock.

    So a run that never let go of it is gone, even if its process number lives again (in a container it often does);
    one that waits for it, or is about to end, lives as long as its process.
    """
    killed = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
        pid = run.tags.get(PID_TAG)
        if run.run_id == run_id or pid is None or run.tags.get(RUN_TAG) != run.run_id:
            continue
        if run.tags.get(_LOCK_TAG) != "held" and _is_alive(int(pid)):
            continue
        killed.append(run)
    return killed


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
