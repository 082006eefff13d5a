"""Checks of what surrounds the pipeline: Python and its packages, the environment, the policy, folders and the disk."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from orchestration.doctor.findings import BROKEN, OK, WARNING, Finding
from orchestration.errors import BarometerError
from orchestration.landing.files import find_files
from orchestration.policy import check_policy, policy_warnings
from orchestration.policy_words import nearest
from orchestration.settings import ROOT, Settings

LOCK = ROOT / "requirements" / "run.lock"
_PYTHON = (3, 11)
#: Packages whose version decides what comes out; another version of any other is a warning.
_DECISIVE = {"duckdb", "dbt-core", "dbt-duckdb", "dagster", "dagster-dbt"}
_INSTALL = "Install what is locked: remove .venv/run.installed, then any `make` command does it."
_VARIABLE = re.compile(r"\bBAROMETER_[A-Z_]+\b")
_NAMED = 5


def versions(lock: Path = LOCK) -> Iterator[Finding]:
    """Compare Python and the packages with what is locked."""
    python = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < _PYTHON:
        yield Finding(BROKEN, "Python", f"is {python}, must be {'.'.join(map(str, _PYTHON))} or later")
    else:
        yield Finding(OK, "Python", python)
    if not lock.exists():
        yield Finding(WARNING, "packages", f"there is no {lock} to compare them with")
        return
    wrong: dict[str, str] = {}
    count = 0
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line[:1].isalnum():
            continue
        wanted = Requirement(line.rstrip("\\ "))
        if wanted.marker is not None and not wanted.marker.evaluate():
            continue
        count += 1
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            wrong[wanted.name] = f"{wanted.name} is missing"
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            wrong[wanted.name] = f"{wanted.name} is {found}, locked is {wanted.specifier}"
    if wrong:
        state = BROKEN if wrong.keys() & _DECISIVE else WARNING
        yield Finding(state, "packages", _some(list(wrong.values())), _INSTALL)
    else:
        yield Finding(OK, "packages", f"{count} are as locked")


def environment(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Look for variables that nothing asks for. The values are looked at where settings are read from them."""
    files = [*(ROOT / "orchestration").rglob("*.py"), ROOT / "profiles.yml", ROOT / "Makefile"]
    known = {name for file in files if file.exists() for name in _VARIABLE.findall(file.read_text(encoding="utf-8"))}
    given = {name for name in variables if name.startswith("BAROMETER_")}
    for name in sorted(given - known):
        yield Finding(WARNING, "environment", f"nothing asks for {name}{nearest(name, known)}", "Correct its name.")
    if given <= known:
        yield Finding(OK, "environment", f"{', '.join(sorted(given)) or 'no BAROMETER_* is set'}")


def policy(settings: Settings) -> Iterator[Finding]:
    """Check the policy as every run does, and the key that it may ask for."""
    try:
        check_policy()
    except BarometerError as error:
        yield Finding(BROKEN, "policy", error.message, error.hint or "")
        return
    for warning in policy_warnings():
        yield Finding(WARNING, "policy", warning)
    if settings.policy["user_id_is_address"] == "hash" and not settings.hash_key:
        yield Finding(
            BROKEN, "policy", "user_id_is_address is hash, but there is no key", "Set BAROMETER_HASH_KEY as before."
        )
    yield Finding(OK, "policy", "vars, seeds and audiences are right")


def landing(settings: Settings) -> Iterator[Finding]:
    """Look whether the landing folder and its files can be read."""
    try:
        settings.require_landing()
        files = find_files(settings.landing)
    except BarometerError as error:
        yield Finding(BROKEN, "landing folder", error.message, error.hint or "")
        return
    except OSError as error:
        yield Finding(
            BROKEN,
            "landing folder",
            f"{settings.landing} can't be read: {error.strerror}",
            "Give the user who runs Barometer the right to read it.",
        )
        return
    barred = [entry.file for entry in files if entry.error or not os.access(entry.path, os.R_OK)]
    if barred:
        yield Finding(
            WARNING,
            "landing folder",
            f"{len(barred)} of {len(files)} files and folders can't be read: {_some(barred)}",
            "Mend the rights or the links; the next run tries them again.",
        )
    else:
        yield Finding(OK, "landing folder", f"{len(files)} files in {settings.landing}")


def data_folder(settings: Settings) -> Iterator[Finding]:
    """Look whether the data folder can be written to, and has room for what a run writes."""
    folder = next(path for path in (settings.data, *settings.data.parents) if path.exists())
    try:
        folders = [path for path in (settings.data, settings.warehouse) if path.is_dir()] or [folder]
        for path in folders:
            with tempfile.TemporaryFile(dir=path):
                pass
    except OSError as error:
        yield Finding(
            BROKEN,
            "data folder",
            f"{path} can't be written to: {error.strerror}",
            "Give the user who runs Barometer the right to write there, or set BAROMETER_DATA to another folder.",
        )
        return
    barred = [
        str(path.relative_to(settings.data))
        for path in (settings.working_file, settings.build_file, settings.dagster_home, settings.planned_contacts)
        if path.exists() and not os.access(path, os.W_OK)
    ]
    if barred:
        yield Finding(
            BROKEN,
            "data folder",
            f"can't be written to: {_some(barred)}",
            "Give them back to the user who runs Barometer (somebody else may have run it once).",
        )
    free = shutil.disk_usage(folder).free
    build, working = (_size(path) for path in (settings.build_file, settings.working_file))
    room = f"{_megabytes(free)} free; the files take {_megabytes(build + working)}"
    if free < build:
        yield Finding(BROKEN, "disk", f"{room}; publishing copies the build", "Make room: old extracts and logs first.")
    elif free < 2 * build + working:
        yield Finding(WARNING, "disk", f"{room}; a rebuild takes twice as much", "Make room before it is needed.")
    else:
        yield Finding(OK, "disk", room)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB"


def _some(texts: list[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")
