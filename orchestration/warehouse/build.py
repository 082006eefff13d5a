"""Which build a run asks for: its kind, its files, and the fingerprint by which an equal one is known."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import identifier, literal
from orchestration.landing.schema import create_raw_schema
from orchestration.measures.measure import code_of_measures, measure
from orchestration.measures.tables import create_measures_schema
from orchestration.publish.publish import refuse_addresses, seal
from orchestration.report import sync_records
from orchestration.settings import DBT_PROJECT, Settings
from orchestration.warehouse import build_state, dates, forget, history, planned, prepare, project
from orchestration.warehouse.families import published_families
from orchestration.warehouse.files import open_duckdb, remove_duckdb
from orchestration.warehouse.running_tests import current_tests, load_tests, refuse_changed_tests

#: What a run is for: yesterday or earlier, today, or a date with a later final build.
NIGHTLY, INTRADAY, BACKFILL = "nightly", "intraday", "backfill"


#: Folders of models/ that plan contacts: an intraday run leaves the plan of the night as it is.
PLAN_FOLDERS = ("intermediate/as_of/plan", "audiences", "plan")
#: Those that say what came of it: an intraday run leaves the measures of the night as they are.
MEASURE_FOLDERS = ("intermediate/as_of/measures", "marts/measures")
#: What a backfill is called until it is whole (profiles.yml names it too).
_UNFINISHED = "build.duckdb"


@dataclass(frozen=True)
class Build:
    """What a run builds: ``file`` holds it when it is whole, ``fingerprint`` is that of all it follows from."""

    kind: str
    file: Path
    fingerprint: str
    #: That of staging, rollups and seeds: what is loaded, and the project.
    upstream: str

    @property
    def is_final(self) -> bool:
        """False for an intraday build, which a final one may replace."""
        return self.kind != INTRADAY

    @property
    def is_backfill(self) -> bool:
        """Whether it goes into a file of its own and leaves the current tables alone."""
        return self.kind == BACKFILL

    @property
    def dbt_file(self) -> Path:
        """The file that dbt writes. A backfill gets its name when it is whole."""
        return self.file.with_name(_UNFINISHED) if self.is_backfill else self.file


def kind_of_run(as_of: date, today: date, final_dates: set[date]) -> str:
    """Return which kind of run a date asks for, from the clock's date and the final dates built before.

    Today is intraday; else nightly, unless a later final date is built already: then a backfill. Raises BarometerError
    for a date that is still to come.
    """
    if as_of > today:
        raise BarometerError(
            f"{as_of} is still to come: today is {today}.", "Ask for today or an earlier date (BAROMETER_AS_OF)."
        )
    if as_of == today:
        return INTRADAY
    return BACKFILL if any(built > as_of for built in final_dates) else NIGHTLY


def kind_of(settings: Settings) -> str:
    """Return the kind of the run that the settings ask for."""
    with open_duckdb(settings.build_file) as con:
        build_state.create_history_schema(con)
        kind = kind_of_run(settings.as_of, settings.today, build_state.final_dates(con))
    if kind == BACKFILL and settings.is_on_spark:
        raise BarometerError(
            f"{settings.as_of} is an older date, and a backfill needs BAROMETER_TARGET=duckdb: it reads the rollups of "
            "the working file.",
            "Build the latest date with BAROMETER_TARGET=duckdb first, which fills them, and then the older one.",
        )
    return kind


def refuse_wrong_clock(settings: Settings, is_date_asked_for: bool) -> None:
    """Raise BarometerError where the dates that were built say that the machine's clock is wrong."""
    with open_duckdb(settings.build_file) as con:
        build_state.create_history_schema(con)
        final = build_state.final_dates(con)
    dates.refuse_clock_behind(settings.today, final, settings.is_today_given)
    if settings.as_of < settings.today:
        dates.refuse_clock_ahead(settings.as_of, final, settings.policy["max_days_without_a_run"], is_date_asked_for)


def build_of(settings: Settings) -> Build:
    """Return the build that a run asks for, from what is loaded, the date, and the project as they are now."""
    kind = kind_of(settings)
    file = settings.backfills / f"{settings.as_of}.duckdb" if kind == BACKFILL else settings.build_file
    with open_duckdb(settings.working_file) as con:
        prepare.create_control_schema(con)
        upstream = _upstream_inputs(con, settings.target)
    # the plan follows from what lists carried; those of its own date change nothing of it while all else is the same
    carried = planned.names(settings.planned_contacts, settings.as_of)
    inputs = [upstream, str(settings.as_of), kind, *carried]
    if settings.policy["user_id_is_address"] == "hash":
        inputs.append(settings.hash_key or "")
    return Build(kind, file, project.fingerprint_of(code_of_measures(), inputs), upstream)


def is_built(settings: Settings, build: Build) -> bool:
    """Whether the build's file holds this very build, whole, and the working file the addresses of its date.

    A backfill must be in the history too: that is written from what its file is before its user_ids may be hashed.
    """
    if not build.file.exists():
        return False
    with open_duckdb(build.file) as con:
        build_state.create_history_schema(con)
        stored = build_state.stored_fingerprint(con)
        if stored != build.fingerprint:
            return False
        built = build_state.built_date(con) if build.is_backfill else None
    if built is not None:
        with open_duckdb(settings.build_file) as con:
            return build_state.is_recorded(con, built)
    with open_duckdb(settings.working_file) as con:
        return stored == build.fingerprint == build_state.stored_fingerprint(con, build_state.ADDRESSES)


def is_upstream_current(settings: Settings, build: Build) -> bool:
    """Whether staging, rollups and seeds hold all that is loaded, made by the project as it is now."""
    with open_duckdb(settings.working_file) as con:
        prepare.create_control_schema(con)
        return build_state.stored_fingerprint(con, build_state.UPSTREAM) == build.upstream


def stale_upstream(as_of: date) -> BarometerError:
    """Return the error of a date that can't be built by itself, since staging and rollups are not current."""
    return BarometerError(
        f"{as_of} can't be built by itself: staging and rollups don't hold all that is loaded, or not as the project "
        "makes them now.",
        "Run the job nightly for its own date first; older dates are built from what it leaves.",
    )


def begin(settings: Settings, build: Build, built_at: datetime) -> None:
    """Load planned contacts, write the date that models read, and say that what the build's file holds is not whole.

    A backfill begins with new files, and leaves the working file as it is. Raises BarometerError where planned contacts
    can't be read or, in a backfill, are not those that were loaded, and where a running test would be changed.
    """
    if build.kind == NIGHTLY:
        refuse_changed_tests(settings.planned_contacts, settings.plan_date, current_tests())
    context = prepare.RunContext(settings.as_of, build.is_final, built_at)
    if build.is_backfill:
        clear_half_made(settings)
        with open_duckdb(settings.working_file, read_only=True) as con:
            planned.refuse_unloaded(con, settings.planned_contacts, settings.plan_date)
            loaded = prepare.last_load_id(con)
        with open_duckdb(settings.scratch_file) as con:
            prepare.create_control_schema(con)
            prepare.write_run_context(con, context, loaded)
            prepare.write_pipeline_runs(con, settings.activation_file)
    else:
        with open_duckdb(settings.working_file) as con:
            planned.load_planned(con, settings.planned_contacts)
            load_tests(con, settings.planned_contacts)
            build_state.store_fingerprint(con, None, build_state.ADDRESSES)
            prepare.write_run_context(con, context)
            prepare.write_pipeline_runs(con, settings.activation_file)
            sync_records.write(con, settings.activation_file, "control")
    with open_duckdb(build.dbt_file) as con:
        # the history has a column for every family before dbt makes views of it; a backfill's own file has no history
        build_state.create_history_schema(con, None if build.is_backfill else published_families())
        create_measures_schema(con)
        build_state.store_fingerprint(con, None)


def finish(settings: Settings, build: Build, is_upstream_checked: bool = False) -> None:
    """Compute the measures; say that the build is whole: in the dates that were built, in the history, in its file.

    ``is_upstream_checked``: dbt has built staging and rollups too, and their checks have passed.

    A backfill is made fit to be opened by itself, and gets its name. It is recorded before that: the history holds
    user_ids as they are, whatever others see of them. Raises BarometerError where they look like addresses.
    """
    if build.is_backfill:
        refuse_addresses(build.dbt_file, settings)
    if build.kind != INTRADAY:
        with open_duckdb(build.dbt_file) as con:
            measure(con, settings.policy)
    _record(settings, build)
    if build.is_backfill:
        seal(build.dbt_file, settings, project.mart_descriptions(project.read_manifest()))
    with open_duckdb(build.dbt_file) as con:
        build_state.store_fingerprint(con, build.fingerprint)
        con.execute("checkpoint")
    if build.is_backfill:
        remove_duckdb(settings.scratch_file)
        build.dbt_file.replace(build.file)
        return
    if is_upstream_checked:
        finish_upstream(settings, build)
    with open_duckdb(settings.working_file) as con:
        build_state.store_fingerprint(con, build.fingerprint, build_state.ADDRESSES)


def begin_upstream(settings: Settings, build: Build, built_at: datetime) -> None:
    """Write what models read, and say that staging, rollups and seeds are not whole; what is of a date stays."""
    with open_duckdb(settings.working_file) as con:
        create_raw_schema(con)
        prepare.create_control_schema(con)
        prepare.distrust_changed_models(con)
        build_state.store_fingerprint(con, None, build_state.UPSTREAM)
        prepare.write_run_context(con, prepare.RunContext(settings.as_of, build.is_final, built_at))


def finish_upstream(settings: Settings, build: Build) -> None:
    """Say that staging, rollups and seeds are whole, and sound. ``build`` was asked for before dbt started."""
    with open_duckdb(settings.working_file) as con:
        prepare.trust_models(con)
        build_state.store_fingerprint(con, build.upstream, build_state.UPSTREAM)


def half_made(settings: Settings) -> list[Path]:
    """Return files and folders that a run which failed or was killed left: nobody needs them, some hold addresses."""
    unfinished = (settings.scratch_file, settings.backfills / _UNFINISHED)
    found = [path.with_name(path.name + suffix) for path in unfinished for suffix in ("", ".wal", ".tmp")]
    # what DuckDB spilled; that of the published file is its readers'
    found += [path.with_name(f"{path.name}.tmp") for path in (settings.working_file, settings.build_file)]
    found += settings.warehouse.glob(".*.tmp")
    found += settings.backfills.glob(".*.tmp")
    found += [path for suffix in ("tmp", "old") for path in settings.extracts.glob(f".*.{suffix}")]
    found += settings.planned_contacts.glob("*/.*.tmp")
    found += Path(tempfile.gettempdir()).glob(f"{settings.scratch_prefix}*")
    return sorted({path for path in found if path.exists()})


def clear_half_made(settings: Settings) -> None:
    """Remove what a run that failed or was killed left. Whoever calls it holds the lock."""
    for path in half_made(settings):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _record(settings: Settings, build: Build) -> None:
    """Add what dbt has built to the dates that were built, and to the segment history."""
    with open_duckdb(settings.working_file, read_only=True) as con:
        erased = forget.erased_users(con, settings.policy["business_time_zone"])
    with open_duckdb(settings.build_file) as con:
        if build.is_backfill:
            source = "backfill"
            con.execute(f"attach {literal(str(build.dbt_file))} as {source} (read_only)")
        else:
            ((source,),) = con.execute("select current_database()").fetchall()
        history.record(con, build_state.built_date(con, source), published_families(), source, erased)
        if build.kind == INTRADAY:
            _forget_in_plan(con)


def _forget_in_plan(con: duckdb.DuckDBPyConnection) -> None:
    """Take whoever was erased since, and so is not known, out of the night's plan and measures, which stay."""
    folders = [DBT_PROJECT / "models" / folder for folder in (*PLAN_FOLDERS, *MEASURE_FOLDERS)]
    models = {path.stem for folder in folders for path in folder.rglob("*.sql")}
    tables = con.execute(
        "select schema_name, table_name from duckdb_columns() "
        "where column_name = 'user_id' and database_name = current_database() and list_contains(?, table_name)",
        [sorted(models)],
    ).fetchall()
    for schema, table in tables:
        con.execute(
            f"delete from {identifier(schema)}.{identifier(table)} "
            "where user_id not in (select user_id from intermediate.int_known_users)"
        )


@contextmanager
def open_working_and_build(settings: Settings, build: Build) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the working file with the build attached, read-only, as ``build``."""
    with open_duckdb(settings.working_file) as con:
        con.execute(f"attach {literal(str(build.file))} as build (read_only)")
        yield con


def _upstream_inputs(con: duckdb.DuckDBPyConnection, target: str) -> str:
    """Return the fingerprint of all that staging, rollups and seeds follow from; ``con`` is the working file."""
    create_raw_schema(con)
    return project.fingerprint_of([], [project.project_fingerprint(), prepare.ledger_fingerprint(con), target])
