"""The extracts of a date: a folder that appears whole, with the segments and the plan lists of one build."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.activation.configuration import DestinationConfig
from orchestration.activation.files import count_rows, write_file, write_pair
from orchestration.activation.plan_lists import PlanLists, carried, held_out, write_plan_lists
from orchestration.activation.reach import select_reach
from orchestration.activation.segments import Segments, write_segments
from orchestration.activation.to_destinations import FOLDER as DESTINATIONS
from orchestration.activation.to_destinations import DestinationLists, list_file, write_lists
from orchestration.errors import BarometerError
from orchestration.landing.erasures import TO_FORGET
from orchestration.landing.quoting import identifier, literal
from orchestration.warehouse.planned import add_planned, names
from orchestration.warehouse.running_tests import CurrentTests, record_tests, started_on

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Extracts:
    """What the folder of a date holds; ``is_same``: it held this build before. ``planned``: planned contacts added."""

    folder: Path
    segments: Segments
    plan_lists: PlanLists
    lists: DestinationLists = DestinationLists()
    planned: int = 0
    is_same: bool = False

    @property
    def rows(self) -> int:
        """Number of rows in all files, each CSV and Parquet pair counted once."""
        return sum(self.segments.rows.values()) + sum(self.plan_lists.rows.values())


def write_extracts(
    con: duckdb.DuckDBPyConnection,
    extracts: Path,
    planned_contacts: Path,
    as_of: date,
    fingerprint: str,
    tests: CurrentTests,
    destinations: Sequence[DestinationConfig] = (),
) -> Extracts:
    """Write ``extracts/<as_of>/<family>/<segment>`` and ``plan/<audience>``, ``.csv`` and ``.parquet`` each.

    And for each of ``destinations`` a Parquet file an audience, with what its provider is to know.

    Less whoever may not be contacted by all that is loaded by now. The folder is put in place whole, readable by its
    owner only; if it holds this build already, it is left alone. What a list carries is in ``planned_contacts``, for
    good, before anybody can see the list, and so are the ``tests`` that the build was made with. ``con`` has one
    thread, the working database in use and the build attached as ``build``.
    """
    folder = extracts / as_of.isoformat()
    same = _read_manifest(folder, fingerprint)
    if same is not None:
        # who is held out stands in no extract, so is looked for anew where nothing of the date is recorded
        is_lost = not any(name.startswith(f"{as_of + timedelta(days=1)}/") for name in names(planned_contacts))
        if is_lost:
            select_reach(con)
        planned = _record(con, planned_contacts, as_of, carried(folder, same.plan_lists.rows), tests, is_lost)
        return replace(same, planned=planned, is_same=True)
    extracts.mkdir(parents=True, exist_ok=True)
    _clear_half_made(extracts)
    temporary = extracts / f".{as_of.isoformat()}.tmp"
    temporary.mkdir(mode=0o700)
    select_reach(con)
    segments = write_segments(con, temporary)
    plan_lists = write_plan_lists(con, temporary)
    lists = write_lists(con, temporary, destinations)
    _write_manifest(temporary, fingerprint, segments, plan_lists, lists)
    planned = _record(con, planned_contacts, as_of, carried(temporary, plan_lists.rows), tests)
    _put_in_place(temporary, folder)
    _clear_half_made(extracts)
    return Extracts(folder, segments, plan_lists, lists, planned)


def remove_extracts(extracts: Path, as_of: date) -> None:
    """Remove the extracts of a date, if there are any. What its plan lists carried stays known."""
    shutil.rmtree(extracts / as_of.isoformat(), ignore_errors=True)


def forget(con: duckdb.DuckDBPyConnection, extracts: Path, today: date) -> int:
    """Take users of raw.forgetting out of extracts; return how many folders named one, or could not be read.

    A folder whose plan date is past goes. One that may still be sent is written anew without them. ``con`` is the
    working file, with one thread.
    """
    changed = 0
    for folder in sorted(extracts.glob("????-??-??")):
        try:
            is_due = date.fromisoformat(folder.name) + timedelta(days=1) >= today
        except ValueError:
            continue
        files = sorted(folder.rglob("*.parquet"))
        try:
            if not any(con.execute(f"select 1 {_rows(path, 'in')} limit 1").fetchone() for path in files):
                continue
            if is_due:
                _write_without(con, folder, files)
        except (OSError, ValueError, KeyError, duckdb.Error):
            is_due = False
        if not is_due:
            shutil.rmtree(folder)
        changed += 1
    return changed


def _rows(path: Path, operator: str) -> str:
    """SQL for the rows of a file whose user is in, or not in, raw.forgetting."""
    return f"from read_parquet({literal(str(path))}, file_row_number = true) where user_id {operator} {TO_FORGET}"


def _write_without(con: duckdb.DuckDBPyConnection, folder: Path, files: Sequence[Path]) -> None:
    """Put a copy in the place of a folder, without the users of raw.forgetting, with a manifest that fits."""
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(folder, temporary)
    content = json.loads((temporary / _MANIFEST).read_text(encoding="utf-8"))
    counts: dict[str, int] = {}
    for path in files:
        columns = [column[0] for column in con.execute(f"select * {_rows(path, 'in')} limit 0").description]
        columns.remove("file_row_number")
        name = path.relative_to(folder).with_suffix("")
        rows = _rows(path, "not in")
        if name.parts[0] == DESTINATIONS:
            file = temporary / path.relative_to(folder)
            write_file(con, file, rows, [identifier(column) for column in columns], "file_row_number")
            counts[name.as_posix()] = count_rows(con, rows)
        else:
            counts[name.as_posix()] = write_pair(con, temporary / name, rows, columns, "file_row_number")
    content["segments"]["rows"] = [
        [family, segment, counts[f"{family}/{segment}"]] for family, segment, _ in content["segments"]["rows"]
    ]
    content["plan_lists"]["rows"] = {name: counts[f"plan/{name}"] for name in content["plan_lists"]["rows"]}
    content["files"] = {name: _digest(temporary / name) for name in content["files"]}
    (temporary / _MANIFEST).unlink()
    _write_json(temporary / _MANIFEST, content)
    _put_in_place(temporary, folder)
    _clear_half_made(folder.parent)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def raise_if_blocked(con: duckdb.DuckDBPyConnection) -> None:
    """Raise BarometerError while a rejected row or file may hide a wish to be left alone.

    ``con`` has the build attached as ``build``.
    """
    found = con.execute(
        "select dataset, file, row_number, reason, file_sha256 from build.marts.extract_blocks order by all"
    ).fetchall()
    if found:
        places = [
            f"  {dataset}: {file}" + (f", row {row}" if row is not None else "") + f" ({reason}), file_sha256 {sha256}"
            for dataset, file, row, reason, sha256 in found[:10]
        ]
        raise BarometerError(
            f"No extract is written: {len(found)} rejected rows or files may hide a wish to be left alone.\n"
            + "\n".join(places),
            "Mend the files and deliver them again, then acknowledge each of these with a row in "
            "dbt_project/seeds/acknowledged_rejects.csv (dataset, file_sha256, row_number or empty, note).",
        )


def _record(
    con: duckdb.DuckDBPyConnection,
    planned_contacts: Path,
    as_of: date,
    rows: str | None,
    tests: CurrentTests,
    has_reach: bool = True,
) -> int:
    """Record the tests of the plan and the ``rows`` that its lists carry; return how many planned contacts are new.

    And whom it holds out, with ``has_reach``: where the temp table reach is filled.
    """
    plan_date = as_of + timedelta(days=1)
    # of those who are held out too, and in no list
    campaigns = con.execute("select distinct campaign_id, audience from build.marts.contact_plan").fetchall()
    found = [rows] if rows else []
    if has_reach:
        found.append(held_out(started_on(planned_contacts, plan_date, tests, campaigns)))
    added = add_planned(con, planned_contacts, plan_date, " union all ".join(found)) if found else 0
    record_tests(planned_contacts, plan_date, tests, campaigns)
    return added


def _put_in_place(temporary: Path, folder: Path) -> None:
    if folder.exists():
        folder.rename(folder.with_name(f".{folder.name}.old"))
    temporary.rename(folder)


def _clear_half_made(extracts: Path) -> None:
    """Remove what a killed run left: nobody else would, and it holds addresses."""
    for folder in extracts.glob(".*"):
        if folder.suffix in (".tmp", ".old"):
            shutil.rmtree(folder)


@dataclass(frozen=True)
class ListState:
    """What the manifest says of the file of a target."""

    file: Path
    build: str
    candidates: int
    shared_key: int


def list_state(
    extracts: Path, as_of: date, destination: str, audience: str, is_trusted: bool = False
) -> ListState | None:
    """Return what the extracts of a date have for a target; None where that is not there, or not as it was written.

    ``is_trusted``: somebody said that the file may be used although it is not as it was written.
    """
    folder = extracts / as_of.isoformat()
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        file = list_file(folder, destination, audience)
        if _digest(file) != content["files"][file.relative_to(folder).as_posix()] and not is_trusted:
            return None
        for name, each, _, shared_key, candidates in content["destinations"]:
            if (name, each) == (destination, audience):
                return ListState(file, content["build"], candidates, shared_key)
    except (OSError, ValueError, KeyError):
        pass
    return None


def _write_manifest(
    folder: Path, fingerprint: str, segments: Segments, plan_lists: PlanLists, lists: DestinationLists
) -> None:
    content = {
        "build": fingerprint,
        "files": {str(path.relative_to(folder)): _digest(path) for path in sorted(folder.rglob("*")) if path.is_file()},
        "segments": {
            "rows": [[family, segment, count] for (family, segment), count in segments.rows.items()],
            "vetoed": segments.vetoed,
            "held_out": segments.held_out,
        },
        "plan_lists": {"rows": plan_lists.rows, "vetoed": plan_lists.vetoed},
        "destinations": [
            [*where, rows, lists.shared_key[where], lists.candidates[where]] for where, rows in lists.rows.items()
        ],
    }
    _write_json(folder / _MANIFEST, content)


def _write_json(path: Path, content: object) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)


def _read_manifest(folder: Path, fingerprint: str) -> Extracts | None:
    """Return what the folder holds if it was written, whole and unchanged, from the same build."""
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if content["build"] != fingerprint:
            return None
        for name, digest in content["files"].items():
            if _digest(folder / name) != digest:
                return None
        segments, plan_lists = content["segments"], content["plan_lists"]
        rows = {(family, segment): count for family, segment, count in segments["rows"]}
        lists = {(name, audience): numbers for name, audience, *numbers in content["destinations"]}
        return Extracts(
            folder,
            Segments(rows, segments["vetoed"], segments["held_out"]),
            PlanLists(plan_lists["rows"], plan_lists["vetoed"]),
            DestinationLists(*({where: numbers[i] for where, numbers in lists.items()} for i in range(3))),
        )
    except (OSError, ValueError, KeyError):
        return None
