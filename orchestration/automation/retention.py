"""What is kept how long: a nightly run begins by removing what is older. All of it can be made again, or is a record.

Landing files, planned contacts and the segment history are never removed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import dagster as dg

from orchestration import clock
from orchestration.activation.sync.ledger import forget_runs
from orchestration.report import pipeline_runs
from orchestration.settings import Settings
from orchestration.warehouse.build import INTRADAY
from orchestration.warehouse.files import open_duckdb, remove_duckdb
from orchestration.warehouse.forget import FINISHED, delete_run, remove_files_of_run

_BATCH = 500
_log = logging.getLogger("barometer")


@dataclass(frozen=True)
class Run:
    """A finished run of Dagster's record: whether it was an intraday one, and when it was asked for (UTC)."""

    run_id: str
    is_intraday: bool
    created_at: datetime


def old_runs(runs: Iterable[Run], now: datetime, days: int, intraday_days: int) -> list[str]:
    """Return the ids of the runs that are older than ``days``, or than ``intraday_days`` where they are intraday."""
    return [
        run.run_id
        for run in runs
        if now - run.created_at > timedelta(days=min(days, intraday_days) if run.is_intraday else days)
    ]


def old_files(files: Iterable[tuple[Path, float]], now: datetime, days: int) -> list[Path]:
    """Return the files that changed last more than ``days`` ago; each comes with that time in seconds."""
    return [
        path
        for path, changed_at in files
        if now - datetime.fromtimestamp(changed_at, UTC).replace(tzinfo=None) > timedelta(days=days)
    ]


def old_extracts(folders: Iterable[Path], today: date, days: int) -> list[Path]:
    """Return the folders of extracts whose plan date, the day after that in the name, is more than ``days`` ago."""
    return [
        folder for folder in folders if (as_of := _date_of(folder.name)) is not None and (today - as_of).days - 1 > days
    ]


def remove_what_is_old(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> dict[str, int]:
    """Remove what is older than the policy keeps; say and return what it was. ``run_id`` is the run in progress.

    Whoever calls it holds the lock. What can't be removed is a warning, and is tried again the next night.
    """
    now, policy = clock.now(), settings.policy
    days, intraday_days = policy["retention_days"], policy["intraday_retention_days"]
    removed: dict[str, int] = {}

    def runs() -> int:
        gone = old_runs(_finished_runs(instance, now, min(days, intraday_days), run_id), now, days, intraday_days)
        for old in gone:
            delete_run(settings, instance, old)
        for old in _logs_of_nobody(settings, instance, now, days):
            remove_files_of_run(settings, old)
        return len(gone)

    def files(*found: tuple[Path, float]) -> int:
        paths = old_files(found, now, days)
        for path in paths:
            path.unlink(missing_ok=True)
        return len(paths)

    def backfills() -> int:
        paths = old_files(_files(settings.backfills, "*.duckdb"), now, days)
        for path in paths:
            remove_duckdb(path)
        return len(paths)

    def extracts() -> int:
        folders = old_extracts(settings.extracts.glob("*"), settings.today, days)
        for folder in folders:
            shutil.rmtree(folder)
        return len(folders)

    kept = policy["pipeline_runs_retention_days"]
    # what holds addresses first
    steps: dict[str, Callable[[], int]] = {
        "days of extracts": extracts,
        "contents of rejected rows and files": lambda: _forget_rejected(settings, now),
        "files put aside": lambda: files(*_files(settings.warehouse, "*.broken-*")),
        "builds of older dates": backfills,
        "runs": runs,
        "logs": lambda: files(*_files(settings.logs, "*.log")),
        "files of dbt": lambda: files(
            *(file for name in ("dbt", "dbt_backfill") for file in _files(settings.warehouse / name, "**/*"))
        ),
        "rows of the record of runs": lambda: pipeline_runs.forget(settings.activation_file, now, kept, days),
        "rows of the record of syncs": lambda: forget_runs(settings.activation_file, now, kept),
    }
    for what, step in steps.items():
        try:
            removed[what] = step()
        except Exception as error:
            _log.warning("Warning: %s that are too old can't be removed (%s: %s)", what, type(error).__name__, error)
    found = {what: count for what, count in removed.items() if count}
    if found:
        _log.info("Removed what is too old: %s", ", ".join(f"{count:,} {what}" for what, count in found.items()))
    return found


def _finished_runs(instance: dg.DagsterInstance, now: datetime, days: int, own: str) -> list[Run]:
    """Return the finished runs that are older than ``days``."""
    before = now.replace(tzinfo=UTC) - timedelta(days=days)
    records = instance.get_run_records(dg.RunsFilter(statuses=list(FINISHED), created_before=before))
    return [
        Run(
            record.dagster_run.run_id,
            INTRADAY in (record.dagster_run.job_name, record.dagster_run.tags.get("barometer/kind")),
            record.create_timestamp.astimezone(UTC).replace(tzinfo=None),
        )
        for record in records
        if record.dagster_run.run_id != own
    ]


def _logs_of_nobody(settings: Settings, instance: dg.DagsterInstance, now: datetime, days: int) -> list[str]:
    """Return the runs that have an old file of events and are no longer in Dagster's record: deleted in the UI."""
    folder = settings.dagster_home / "history" / "runs"
    ids = [path.stem for path in old_files(_files(folder, "*.db"), now, days) if _is_run_id(path.stem)]
    known = {run.run_id for first in range(0, len(ids), _BATCH) for run in _runs(instance, ids[first : first + _BATCH])}
    return sorted(set(ids) - known)


def _runs(instance: dg.DagsterInstance, ids: list[str]) -> Iterable[dg.DagsterRun]:
    return instance.get_runs(filters=dg.RunsFilter(run_ids=ids))


def _forget_rejected(settings: Settings, now: datetime) -> int:
    """Take the content out of rejected rows, and the words about rejected files, that were loaded long ago."""
    if not settings.working_file.exists():
        return 0
    before = now - timedelta(days=settings.policy["reject_retention_days"])
    with open_duckdb(settings.working_file) as con:
        tables = {
            name
            for (name,) in con.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall()
        }
        if not {"load_files", "rejected_rows", "rejected_files"} <= tables:
            return 0
        (rows,) = con.execute(
            "update raw.rejected_rows set content = null where content is not null "
            "and load_id in (select load_id from raw.load_files where loaded_at < ?)",
            [before],
        ).fetchone() or (0,)
        (files,) = con.execute(
            "update raw.rejected_files set detail = null where detail is not null and seen_at < ?", [before]
        ).fetchone() or (0,)
    return int(rows) + int(files)


def _files(folder: Path, pattern: str) -> list[tuple[Path, float]]:
    return [(path, path.lstat().st_mtime) for path in folder.glob(pattern) if path.is_file()]


def _date_of(name: str) -> date | None:
    try:
        found = date.fromisoformat(name)
    except ValueError:
        return None
    return found if found.isoformat() == name else None


def _is_run_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
