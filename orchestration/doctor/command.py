"""The command `doctor`: prints what it finds, mends what is safe when asked, and can rebuild everything."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orchestration.doctor import machine, state
from orchestration.doctor.findings import BROKEN, OK, Finding, is_broken
from orchestration.doctor.scan import HELD, MEMORY, NEWER, Scan
from orchestration.errors import BarometerError
from orchestration.settings import Settings
from orchestration.warehouse import build_state
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.lock import warehouse_lock

_LATER = "Look again when it has ended."


@dataclass(frozen=True)
class Examination:
    """What was found, and what the DuckDB files hold."""

    findings: list[Finding]
    scans: dict[str, Scan | None]


def examine(settings: Settings) -> Examination:
    """Look at everything, and change nothing. A run that begins meanwhile waits until the files are read."""
    findings = [
        *machine.versions(),
        *machine.environment(os.environ),
        *machine.policy(settings),
        *machine.landing(settings),
        *machine.data_folder(settings),
    ]
    scans: dict[str, Scan | None] = {}
    if not settings.warehouse.is_dir():
        return Examination([*findings, Finding(OK, "warehouse", "nothing was built yet")], scans)

    def look(path: Path) -> None:
        scans[path.name], found = state.duckdb_file(path)
        findings.extend(found)

    look(settings.published_file)
    with _lock_if_free(settings) as why_not:
        if why_not is None:
            for path in (settings.working_file, settings.build_file, *sorted(settings.backfills.glob("2*.duckdb"))):
                look(path)
            findings += state.builds(*(scans.get(path.name) for path in _files(settings)))
        else:
            findings.append(why_not)
        findings += state.records(settings)
        if why_not is None:
            findings += [*state.killed_runs(settings), *state.leftovers(settings)]
    known = state.sound(scans, settings.build_file.name) or state.sound(scans, settings.published_file.name)
    findings += [state.clock(settings, known), state.planned_contacts(settings), *state.extracts(settings)]
    return Examination(findings, scans)


def doctor(settings: Settings, is_to_mend: bool, say: Callable[[str], None]) -> None:
    """Print a line for each check; raise BarometerError where something is broken, after mending what can be."""
    found = examine(settings)
    if is_to_mend and any(finding.mend for finding in found.findings):
        with warehouse_lock(settings.warehouse, 0, say):
            for finding in found.findings:
                if finding.mend is not None:
                    say(f"{'mended':<8} {finding.about}: {finding.mend()}")
        found = examine(settings)
    for line in _lines(found.findings):
        say(line)
    if is_broken(found.findings):
        count = sum(finding.state == BROKEN for finding in found.findings)
        raise BarometerError(
            "Something is broken." if count == 1 else f"{count} things are broken.",
            "Do what their lines say; docs/OPERATING.md, Doctor, says more.",
        )


def rebuild(
    settings: Settings,
    wanted: date | None,
    is_sure: bool,
    ask: Callable[[str], str],
    say: Callable[[str], None],
    run: Callable[[date], None],
) -> None:
    """Put the working file aside, and the build file where it can't be kept, then ``run`` for the published date."""
    settings.require_landing()
    # no run goes on while it is read, or a file that a run holds would look like one that is lost
    with warehouse_lock(settings.warehouse, 0, say):
        scans = {path.name: state.duckdb_file(path)[0] for path in _files(settings)}
    _refuse_unread(scans)
    as_of = wanted or _date_of(settings, scans)
    build = state.sound(scans, settings.build_file.name)
    published = state.sound(scans, settings.published_file.name)
    is_kept = build is not None and max(build.dates, default=as_of) <= as_of
    aside = [settings.working_file] + ([] if is_kept else [settings.build_file])
    if published is None or max(published.dates, default=as_of) > as_of:
        aside.append(settings.published_file)
    aside = [path for path in aside if path.exists()]
    say(f"Everything is built anew as of {as_of} from the files in {settings.landing}.")
    say("Rows of files that are no longer there are lost. Planned contacts and extracts stay.")
    say(f"Put aside: {', '.join(path.name for path in aside) or 'nothing'}.")
    if not is_kept:
        say("The list of built dates and the segment history begin anew; the job backfill brings older dates back.")
    if not is_sure and ask("Type yes to go on: ").strip().lower() != "yes":
        raise BarometerError("Nothing was changed.", "Say yes, or add --yes.")
    with warehouse_lock(settings.warehouse, 0, say):
        names = [state.put_aside(path).name for path in aside]
        if is_kept:
            # what it holds is not what will be loaded
            with open_duckdb(settings.build_file) as con:
                build_state.create_history_schema(con)
                build_state.store_fingerprint(con, None)
    run(as_of)
    if names:
        say(f"Rebuilt. When all is well, delete {', '.join(names)}: they hold personal data.")


def _refuse_unread(scans: Mapping[str, Scan | None]) -> None:
    """Raise BarometerError where it is not known whether a file is sound: it may be the only one with the history."""
    for name, found in scans.items():
        if found is not None and found.trouble in (HELD, NEWER, MEMORY):
            raise BarometerError(f"{name} could not be read: {found.error}", state.TODO[found.trouble])


def _files(settings: Settings) -> tuple[Path, Path, Path]:
    return settings.working_file, settings.build_file, settings.published_file


def _date_of(settings: Settings, scans: dict[str, Scan | None]) -> date:
    """Return the date that is published, else the one that was built last, else the one that the settings ask for."""
    for path in (settings.published_file, settings.build_file):
        found = state.sound(scans, path.name)
        if found is not None and found.is_final and found.as_of is not None:
            return date.fromisoformat(found.as_of)
        if found is not None and found.dates:
            return max(found.dates)
    return settings.as_of


@contextmanager
def _lock_if_free(settings: Settings) -> Iterator[Finding | None]:
    """Hold the lock, or yield why that can't be had."""
    try:
        lock = warehouse_lock(settings.warehouse, 0, lambda _: None)
        lock.__enter__()
    except BarometerError:
        yield Finding(OK, "run", "a run is going on: its files were not looked at", _LATER)
        return
    except OSError as error:
        yield Finding(BROKEN, "lock", f"{settings.warehouse / '.lock'} can't be opened: {error.strerror}")
        return
    try:
        yield None
    finally:
        lock.__exit__(None, None, None)


def _lines(findings: Iterable[Finding]) -> Iterator[str]:
    for finding in findings:
        yield from finding.lines()


def ask_on_terminal(question: str) -> str:
    """Ask somebody who sits at the terminal; nobody there is no yes."""
    return input(question) if sys.stdin.isatty() else ""
