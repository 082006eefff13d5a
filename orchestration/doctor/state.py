"""Checks of what runs have left: DuckDB files, planned contacts, extracts, records, leftovers, and the dates."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path

import duckdb

from orchestration.doctor.findings import BROKEN, OK, WARNING, Finding
from orchestration.doctor.scan import DAMAGED, HELD, MEMORY, NEWER, Scan, scan
from orchestration.errors import BarometerError
from orchestration.settings import Settings
from orchestration.warehouse import dates, planned
from orchestration.warehouse.build import clear_half_made, half_made
from orchestration.warehouse.running_tests import current_tests, refuse_changed_tests

#: What is put aside is called so, with a number.
ASIDE = ".broken-"
_ANEW = {
    "working.duckdb": "the next run loads every landing file again",
    "build.duckdb": "the next run builds it anew; the list of built dates and the segment history begin anew",
    "barometer.duckdb": "the next run publishes again",
}
TODO = {
    HELD: "Close the program that has it open (a BI tool should open barometer.duckdb instead).",
    NEWER: "Install the version of DuckDB that wrote it, or a later one.",
    MEMORY: "Look again on a machine with more memory.",
}
_SQLITE = (".db", ".sqlite")
_MANIFEST = "manifest.json"


def put_aside(path: Path) -> Path:
    """Give a file, with its log of changes, a name that nothing opens; return it."""
    number = 1
    while (aside := path.with_name(f"{path.name}{ASIDE}{number}")).exists():
        number += 1
    for ending in ("", ".wal", "-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + ending))
    return aside


def duckdb_file(path: Path) -> tuple[Scan | None, list[Finding]]:
    """Read a DuckDB file through; return what it holds (None: it is not there) and what is to be said of it."""
    if not path.exists():
        return None, []
    found = scan(path)
    if found.trouble is None:
        return found, [Finding(OK, path.name, f"{found.tables} tables, {found.rows:,} rows, all read")]
    if found.trouble == DAMAGED:
        try:
            path.open("rb").close()
        except OSError as error:
            todo = "Give the user who runs Barometer the right to read it."
            return found, [Finding(BROKEN, path.name, f"can't be read: {error.strerror}", todo)]
        anew = _ANEW.get(path.name, "the job backfill builds it again")
        return found, [
            Finding(
                BROKEN,
                path.name,
                f"is damaged: {found.error}",
                f"--fix puts it aside: {anew}.",
                lambda: f"{path.name} is now {put_aside(path).name}; {anew}",
            )
        ]
    state = WARNING if found.trouble == MEMORY else BROKEN
    return found, [Finding(state, path.name, found.error, TODO[found.trouble])]


def builds(working: Scan | None, build: Scan | None, published: Scan | None) -> Iterator[Finding]:
    """Say which builds the files hold, whether they are whole, and whether they fit each other."""
    whole = build.fingerprints.get("build") if build else None
    if build is not None and build.trouble is None:
        if whole is None:
            yield Finding(WARNING, "build", "the last build is not whole: it failed or was killed", "Run again.")
        else:
            yield Finding(OK, "build", f"as of {build.as_of}, {'final' if build.is_final else 'intraday'}, whole")
    if (
        whole is not None
        and working is not None
        and working.trouble is None
        and working.fingerprints.get("addresses") != whole
    ):
        yield Finding(
            WARNING, "build", "working.duckdb holds the addresses of another build", "Run again before you extract."
        )
    if published is None:
        yield Finding(OK if build is None else WARNING, "published", "nothing is published", "Run the pipeline.")
    elif published.trouble is None:
        if published.fingerprints.get("build") is None:
            yield Finding(BROKEN, "published", "holds no whole build", "Move barometer.duckdb away and run again.")
        elif whole is not None and published.fingerprints["build"] != whole:
            yield Finding(
                WARNING,
                "published",
                f"is as of {published.as_of}, another build than build.duckdb (as of {build.as_of if build else '-'})",
                "Run again: it publishes what is built, or says why it does not.",
            )
        else:
            yield Finding(OK, "published", f"as of {published.as_of}, {'final' if published.is_final else 'intraday'}")


def clock(settings: Settings, known: Scan | None) -> Finding:
    """Compare the machine's date with the dates that were built."""
    final = known.dates if known else set()
    said = f"today is {settings.today}{' (given)' if settings.is_today_given else ''}, the last built date is " + str(
        max(final, default="none")
    )
    try:
        dates.refuse_clock_behind(settings.today, final, settings.is_today_given)
    except BarometerError as error:
        return Finding(
            BROKEN,
            "clock",
            error.message,
            "Set the machine's clock. If it was ahead when that date was built: --rebuild --as-of DATE, with the last "
            "date that was right; later dates are lost.",
        )
    try:
        is_given = settings.is_as_of_given or settings.is_today_given
        dates.refuse_clock_ahead(settings.as_of, final, settings.policy["max_days_without_a_run"], is_given)
    except BarometerError as error:
        return Finding(WARNING, "clock", error.message, error.hint or "")
    return Finding(OK, "clock", said)


def planned_contacts(settings: Settings) -> Finding:
    """Read every file of planned contacts, as a run does, and compare it with its name; and the running tests."""
    about = "planned contacts"
    try:
        with duckdb.connect() as con:
            count = planned.check_files(con, settings.planned_contacts)
    except BarometerError as error:
        return Finding(BROKEN, about, error.message, error.hint or "")
    try:
        refuse_changed_tests(settings.planned_contacts, settings.plan_date, current_tests())
    except BarometerError as error:
        return Finding(BROKEN, about, error.message, error.hint or "")
    return Finding(OK, about, f"{count} files, as they were written")


def extracts(settings: Settings) -> Iterator[Finding]:
    """Compare every folder of extracts with its manifest."""
    folders = [path for path in sorted(settings.extracts.glob("*")) if path.is_dir() and not path.name.startswith(".")]
    wrong = []
    for folder in folders:
        try:
            files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
            if any(hashlib.sha256((folder / name).read_bytes()).hexdigest() != sum_ for name, sum_ in files.items()):
                wrong.append(folder.name)
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            wrong.append(folder.name)
    if wrong:
        yield Finding(
            WARNING,
            "extracts",
            f"files are missing or were changed: {', '.join(wrong)}",
            "Don't use them; a run for that date writes them again while its plan date is not past.",
        )
    else:
        yield Finding(OK, "extracts", f"{len(folders)} dates, as they were written")


def records(settings: Settings) -> Iterator[Finding]:
    """Ask SQLite whether its files are sound: Dagster's records, and what else runs record there."""
    files = [path for path in sorted(settings.data.rglob("*")) if path.suffix in _SQLITE and path.is_file()]
    count = 0
    for path in files:
        name = str(path.relative_to(settings.data))
        try:
            # without a log of changes nothing need be read beside it, and nothing is written beside it either
            mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as con:
                said = con.execute("pragma quick_check(1)").fetchone()[0]
        except sqlite3.Error as error:
            said = str(error)
        if said == "ok":
            count += 1
        elif settings.dagster_home in path.parents:
            yield Finding(
                BROKEN,
                name,
                f"is damaged: {said}",
                "--fix puts it aside; Dagster begins a new record of runs. Stop `make dev` first.",
                partial(_put_record_aside, path, name),
            )
        else:
            todo = "Bring it back from a backup, or move it away: the record of runs begins anew."
            yield Finding(BROKEN, name, f"is damaged: {said}", todo)
    if count == len(files):
        yield Finding(OK, "records", f"{count} SQLite files are sound")


def _put_record_aside(path: Path, name: str) -> str:
    return f"{name} is now {put_aside(path).name}"


def killed_runs(settings: Settings) -> Iterator[Finding]:
    """Look for runs that were killed and are not yet cleared away, and for slots that they hold; the lock is held."""
    if not (settings.dagster_home / "dagster.yaml").exists():
        return
    import dagster as dg

    from orchestration.resources import WRITER_POOL, clear_killed_runs
    from orchestration.resources import killed_runs as found_in

    def clear() -> str:
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            return f"{len(clear_killed_runs(instance, None))} killed runs are marked as failed"

    try:
        with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
            killed = found_in(instance)
            held = instance.event_log_storage.get_concurrency_info(WRITER_POOL).active_run_ids
    except Exception as error:
        # whatever SQLite or Dagster raise where the records are damaged
        yield Finding(
            BROKEN, "runs", f"Dagster's records can't be read: {type(error).__name__}", "See the lines above."
        )
        return
    if killed or held:
        yield Finding(
            WARNING,
            "runs",
            f"{len(killed)} runs were killed, {len(held)} hold a slot of those that write",
            "The next run clears them away; --fix does it now.",
            clear,
        )
    else:
        yield Finding(OK, "runs", "none was left unfinished")


def leftovers(settings: Settings) -> Iterator[Finding]:
    """Look for what killed runs left half-made, and for damaged files that were put aside; the lock is held."""
    half = half_made(settings)
    if half:
        yield Finding(
            WARNING,
            "leftovers",
            f"{len(half)} half-made files and folders, some may hold addresses",
            "The next run removes them; --fix does it now.",
            partial(_clear, settings),
        )
    aside = [path for path in settings.data.rglob(f"*{ASIDE}*") if path.is_file()]
    if aside:
        yield Finding(
            WARNING,
            "leftovers",
            f"{len(aside)} files were put aside: {', '.join(sorted(path.name for path in aside)[:5])}",
            "They hold personal data, of erased users too: delete them when you have what you need.",
        )
    if not half and not aside:
        yield Finding(OK, "leftovers", "none")


def _clear(settings: Settings) -> str:
    count = len(half_made(settings))
    clear_half_made(settings)
    return f"{count} half-made files and folders are removed"


def sound(scans: Mapping[str, Scan | None], name: str) -> Scan | None:
    """Return what a file holds, None if it is not there or something is wrong with it."""
    found = scans.get(name)
    return found if found is not None and found.trouble is None else None
