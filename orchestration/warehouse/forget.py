"""Takes whom an erasure names out of everything that a run leaves behind, so that no file holds a byte of them.

The loader drops the rows and notes whom it dropped in ``raw.forgetting``. After the load planned contacts and extracts
are written anew without them; backfills, records, files put aside and what killed syncs left that may hold them go.
When the build is whole, both DuckDB files are rewritten, since the blocks that deleted rows leave still hold their
bytes. The notes go last: a run that is killed on the way does all of it again.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import duckdb

from orchestration.activation import extracts
from orchestration.activation.sync import outgoing
from orchestration.activation.sync.ledger import mark_erased
from orchestration.errors import BarometerError
from orchestration.landing import rejects
from orchestration.landing.erasures import OF_USERS, TO_FORGET
from orchestration.landing.quoting import identifier, literal
from orchestration.settings import DBT_PROJECT, Settings
from orchestration.warehouse import planned
from orchestration.warehouse.files import attach_fresh, fsync, open_duckdb, remove_duckdb
from orchestration.warehouse.spark import files as spark_files

#: In raw.load_meta: the notes are gone, the working file is not rewritten yet.
_REWRITE = "rewrite_pending"
#: The job whose runs name users.
_EXPLAIN = "explain"
FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_log = logging.getLogger("barometer")


def erased_users(con: duckdb.DuckDBPyConnection, time_zone: str) -> dict[str, date]:
    """Return whom the run still has to forget, with the last date that is not to be known of them.

    That is the day before their first row, for those who have come back; for others there is none that is.
    """
    found = con.execute(f"from {TO_FORGET}").fetchall()
    if not found:
        return {}
    rows = " union all ".join(
        f"select user_id, {identifier(str(dataset.erasure_time))} as happened_at from raw.{identifier(dataset.name)}"
        for dataset in OF_USERS
    )
    first = dict(
        con.execute(
            f"select user_id, cast(timezone(?, timezone('UTC', min(happened_at))) as date) from ({rows}) "
            f"where user_id in {TO_FORGET} group by user_id",
            [time_zone],
        ).fetchall()
    )
    return {user: first[user] - timedelta(days=1) if user in first else date.max for (user,) in found}


def forget_files(con: duckdb.DuckDBPyConnection, settings: Settings, instance: dg.DagsterInstance) -> None:
    """Take whom an erasure names out of all files but the DuckDB files; ``con`` is the working file."""
    if not _has_notes(con):
        return
    con.execute("set threads = 1")
    # their removal from providers goes out with the next sync, which needs their ids
    mark_erased(settings.activation_file, (user for (user,) in con.execute(f"from {TO_FORGET}").fetchall()))
    planned_files = planned.forget(con, settings.planned_contacts)
    folders = extracts.forget(con, settings.extracts, settings.today)
    con.execute("reset threads")
    backfills = _forget_backfills(con, settings)
    aside = [path for path in settings.warehouse.glob("*.broken-*") if path.is_file()]
    for path in aside:
        path.unlink()
    on_their_way = outgoing.clear_idle(settings)
    records = _forget_records(con, settings, instance)
    _log.info(
        "Erasure: wrote anew or removed %s files of planned contacts, %s folders of extracts, %s backfills, %s files "
        "put aside, %s folders of rows on their way, %s logs and records",
        planned_files,
        folders,
        backfills,
        len(aside),
        on_their_way,
        records,
    )


def forget_everywhere(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Finish what an erasure began, once the build is whole; does nothing where there is nothing to forget."""
    with open_duckdb(settings.working_file) as con:
        has_notes = _has_notes(con)
        is_unfinished = con.execute("select 1 from raw.load_meta where name = ?", [_REWRITE]).fetchone() is not None
        # once more: what was written since the load, and what a killed run did not come to
        forget_files(con, settings, instance)
    if has_notes:
        rewrite(settings.build_file)
        with open_duckdb(settings.working_file) as con:
            _forget_notes(con, settings)
    if has_notes or is_unfinished:
        rewrite(settings.working_file)
        with open_duckdb(settings.working_file) as con:
            con.execute("delete from raw.load_meta where name = ?", [_REWRITE])
        _log.info("Erasure: %s and %s are rewritten", settings.build_file.name, settings.working_file.name)


def _has_notes(con: duckdb.DuckDBPyConnection) -> bool:
    return con.execute("select 1 from raw.forgetting limit 1").fetchone() is not None


def rewrite(file: Path) -> None:
    """Put a copy in the place of a DuckDB file, without the blocks that are free in it.

    Raises BarometerError, and leaves the file as it was, where there is no room for the copy.
    """
    with open_duckdb(file) as con:
        con.execute("checkpoint")
    fresh = file.with_name(f".{file.name}.fresh.tmp")
    remove_duckdb(fresh)
    try:
        with closing(duckdb.connect()) as con:
            con.execute(f"set temp_directory = {literal(str(file.with_name(file.name + '.tmp')))}")
            # its own name, which views in it use
            con.execute(f"attach {literal(str(file))} as {identifier(file.stem)} (read_only)")
            attach_fresh(con, fresh)
            con.execute(f"copy from database {identifier(file.stem)} to fresh")
            before, after = (_row_counts(con, name) for name in (file.stem, "fresh"))
        if before != after:
            raise BarometerError(f"The copy of {file} differs from it.", "Run again; see that the disk is sound.")
        fresh.chmod(0o600)
        fsync(fresh)
        fresh.replace(file)
        fsync(file.parent)
    except duckdb.Error as error:
        raise BarometerError(
            f"{file} can't be rewritten, which an erasure needs: {error}",
            "See that the disk has room for a second copy of it, then run again.",
        ) from error
    finally:
        remove_duckdb(fresh)


def _row_counts(con: duckdb.DuckDBPyConnection, database: str) -> dict[tuple[str, str], int]:
    tables = con.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = ?", [database]
    ).fetchall()
    counts = {}
    for schema, table in tables:
        name = ".".join(identifier(part) for part in (database, schema, table))
        ((counts[schema, table],),) = con.execute(f"select count(*) from {name}").fetchall()
    return counts


def _forget_notes(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Delete what incremental models were told of dropped rows, which they hold by now, and then the notes."""
    models = {path.stem: path.parent.name for path in (DBT_PROJECT / "models").rglob("*.sql")}
    lists = sorted(name for name, folder in models.items() if folder == "touched")
    tables = con.execute(
        "select schema_name, table_name from duckdb_tables() where list_contains(?, table_name)", [lists]
    ).fetchall()
    if settings.is_on_spark:
        spark_files.forget(settings, lists)
    con.execute("begin")
    for schema, table in tables:
        con.execute(f"delete from {identifier(schema)}.{identifier(table)}")
    # a model that is gone has left a watermark that no longer moves
    con.execute("delete from control.watermarks where not list_contains(?, model_name)", [sorted(models)])
    # without a watermark every model is built in full, and needs no touch
    con.execute("delete from raw.touches where not exists (from control.watermarks where load_id < touches.load_id)")
    con.execute("delete from raw.forgetting")
    con.execute("delete from raw.load_meta where name = ?", [_REWRITE])
    con.execute("insert into raw.load_meta values (?, 'true')", [_REWRITE])
    con.execute("commit")


def _forget_backfills(con: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    """Remove backfills that hold somebody erased; all of them where their user_ids are hashed."""
    removed = 0
    is_hashed = settings.policy["user_id_is_address"] == "hash"
    for file in sorted(settings.backfills.glob("*.duckdb")) if settings.backfills.is_dir() else []:
        if is_hashed or _holds_somebody(con, file):
            remove_duckdb(file)
            removed += 1
    return removed


def _holds_somebody(con: duckdb.DuckDBPyConnection, file: Path) -> bool:
    """Tell whether a backfill may hold somebody erased: one that can't be read may."""
    try:
        con.execute(f"attach {literal(str(file))} as backfill (read_only)")
    except duckdb.Error:
        return True
    try:
        tables = con.execute(
            "select schema_name, table_name from duckdb_columns() inner join duckdb_tables() "
            "using (database_name, schema_name, table_name) "
            "where column_name = 'user_id' and database_name = 'backfill'"
        ).fetchall()
        names = (f"backfill.{identifier(schema)}.{identifier(table)}" for schema, table in tables)
        return any(
            con.execute(f"select 1 from {name} where user_id in {TO_FORGET} limit 1").fetchone() for name in names
        )
    except duckdb.Error:
        return True
    finally:
        con.execute("detach backfill")


def _forget_records(con: duckdb.DuckDBPyConnection, settings: Settings, instance: dg.DagsterInstance) -> int:
    """Remove the runs of the job that explains a user, and runs and logs that name somebody erased."""
    values = {value.encode() for (value,) in con.execute("select distinct value from raw.forgetting").fetchall()}
    # also one that never ended
    runs = {run.run_id for run in instance.get_runs(dg.RunsFilter(job_name=_EXPLAIN))}
    shards = settings.dagster_home.glob("history/runs/*.db*")
    named = {path.name.partition(".db")[0] for path in shards if rejects.names_one_of(path.read_bytes(), values)}
    if named:
        finished = dg.RunsFilter(run_ids=sorted(named), statuses=list(FINISHED))
        runs |= {run.run_id for run in instance.get_runs(finished)}
    for run_id in runs:
        delete_run(settings, instance, run_id)
    _vacuum(settings.dagster_home.glob("history/**/*.db"))
    logs = [*settings.logs.glob("*"), *settings.dagster_home.glob("storage/**/compute_logs/*")]
    logs = [path for path in logs if path.is_file() and rejects.names_one_of(path.read_bytes(), values)]
    for path in logs:
        path.unlink()
    return len(runs) + len(logs)


def delete_run(settings: Settings, instance: dg.DagsterInstance, run_id: str) -> None:
    """Delete a Dagster run with the files that are left of it."""
    instance.delete_run(run_id)
    remove_files_of_run(settings, run_id)


def remove_files_of_run(settings: Settings, run_id: str) -> None:
    """Remove what Dagster leaves of a run that it has deleted, and what dbt said in it."""
    for path in (settings.dagster_home / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink()
    shutil.rmtree(settings.dagster_home / "storage" / run_id, ignore_errors=True)
    settings.dbt_log(run_id).unlink(missing_ok=True)


def _vacuum(files: Iterable[Path]) -> None:
    """Free SQLite files of what was deleted in them; one that is in use keeps it until the next time."""
    for file in files:
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(file, timeout=30)) as con:
            con.execute("vacuum")
            con.execute("pragma wal_checkpoint(truncate)")
