"""The store of planned contacts: what plan lists carried, in files, so that the plan stays a function of files.

Beside it whom the plan held out, with a ``holdout_kind``: in no list, but one side of a test.

A file is ``<folder>/<plan_date>/<first 16 hex digits of the SHA-256 of its content>.parquet``. It appears whole, for
its owner only, and is not changed afterwards; an erasure alone puts another in its place. A folder that is missing is
empty.
"""

from __future__ import annotations

import hashlib
import logging
import re
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import literal
from orchestration.warehouse.files import fsync

#: The columns of a file: a date, then texts. Files of older versions have no holdout_kind.
COLUMNS = ("plan_date", "user_id", "campaign_id", "audience", "channel", "variant", "message_class", "holdout_kind")
#: A row with the same values of these is the same contact.
_KEY = COLUMNS[:5]
_FILE = re.compile(r"[0-9a-f]{16}\.parquet")
#: What a file is called until it is whole.
_UNFINISHED = ".new.tmp"
_HINT = (
    "Bring it back from a backup. If it is lost, move it out of that folder: whoever it names may then be contacted "
    "sooner than caps and campaigns allow, unless the provider's log tells of the contact."
)
_log = logging.getLogger("barometer")


def names(folder: Path, until: date | None = None) -> list[str]:
    """Return ``<plan_date>/<file>`` of every file, sorted; with ``until`` only of plan dates up to it.

    Raises BarometerError for what may be planned contacts under another name, and where a folder can't be read.
    """
    found: list[str] = []
    for day in _visible(folder):
        plan_date = _plan_date(day)
        if until is None or plan_date <= until:
            found += [f"{day.name}/{path.name}" for path in _files_of(day)]
    return sorted(found)


def add_planned(con: duckdb.DuckDBPyConnection, folder: Path, plan_date: date, rows: str) -> int:
    """Write those of the rows that no file of the plan date has yet; return how many of these a list carried.

    ``rows`` is a query that gives COLUMNS, no contact twice. When this returns, they are on the disk for good; without
    new rows there is no new file. ``con`` has one thread, else the same rows may come out as other bytes.
    """
    day = folder / plan_date.isoformat()
    stored = " union all ".join(_rows_of(con, path) for path in _files_of(day)) or f"select * from ({rows}) where false"
    con.execute(
        f"create or replace temp table new_planned as select {', '.join(COLUMNS)} from ({rows}) as rows "
        f"anti join ({stored}) as stored using ({', '.join(_KEY)})"
    )
    ((count, carried),) = con.execute(
        "select count(*), count(*) filter (where holdout_kind is null) from new_planned"
    ).fetchall()
    if count:
        _write_file(con, day, "select * from new_planned")
    con.execute("drop table new_planned")
    return int(carried)


def forget(con: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Write files anew without what was planned for users of raw.forgetting; return how many files.

    Of whoever has come back since, what was planned for dates after the request stays.
    The new file is on the disk before the old one goes; a run that is killed in between leaves both, which is harmless,
    and the next one does it again. ``con`` has one thread, as in add_planned.
    """
    rewritten = 0
    forgotten = (
        "(select f.value as user_id, max(case when r.user_id is null then date 'infinity' else f.requested_date end) "
        "as requested_date from raw.forgetting as f left join raw.returned_users as r on f.value = r.user_id "
        "where f.kind = 'user' group by f.value)"
    )
    for name in names(folder):
        path = folder / name
        rows = _rows_of(con, path)
        is_kept = "f.user_id is null or p.plan_date > f.requested_date"
        kept = f"select p.* from ({rows}) as p left join {forgotten} as f on p.user_id = f.user_id where {is_kept}"
        ((before, after),) = con.execute(
            f"select (select count(*) from ({rows})), (select count(*) from ({kept}))"
        ).fetchall()
        if after == before:
            continue
        if after:
            _write_file(con, path.parent, kept)
        path.unlink()
        fsync(path.parent)
        rewritten += 1
    return rewritten


def _write_file(con: duckdb.DuckDBPyConnection, day: Path, rows: str) -> None:
    """Write a file of a plan date, for its owner only; when this returns, it is on the disk for good."""
    _make_folder(day)
    unfinished = day / _UNFINISHED
    # what a killed run left
    unfinished.unlink(missing_ok=True)
    con.execute(
        f"copy (from ({rows}) order by {', '.join(_KEY)}) to {literal(str(unfinished))} "
        "(format parquet, compression zstd)"
    )
    unfinished.chmod(0o600)
    fsync(unfinished)
    unfinished.rename(day / f"{_digest(unfinished)}.parquet")
    fsync(day)


def load_planned(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make ``raw.planned_contacts`` hold the rows of all files, in one transaction.

    Only files that are new since the last time are read. Raises BarometerError where one of them can't be read or is
    not what it was; then nothing changes.
    """
    stored, found = _loaded(con), set(names(folder))
    new, gone = sorted(found - stored), sorted(stored - found)
    if not new and not gone:
        return
    con.execute("begin")
    try:
        con.execute("delete from raw.planned_contacts where list_contains(?, file)", [gone])
        for name in new:
            rows = _rows_of(con, folder / name)
            con.execute(f"insert into raw.planned_contacts by name select *, {literal(name)} as file from ({rows})")
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")
    _log.info("Planned contacts: %s new files loaded%s", len(new), f", {len(gone)} are gone" if gone else "")


def check_files(con: duckdb.DuckDBPyConnection, folder: Path) -> int:
    """Return how many files there are; raises BarometerError where one can't be read or is not what it was."""
    found = names(folder)
    for name in found:
        _rows_of(con, folder / name)
    return len(found)


def refuse_unloaded(con: duckdb.DuckDBPyConnection, folder: Path, until: date) -> None:
    """Raise BarometerError unless just the files of plan dates up to ``until`` are loaded; ``con`` need not write."""
    stored = {name for name in _loaded(con) if date.fromisoformat(name.split("/")[0]) <= until}
    if stored != set(names(folder, until)):
        raise BarometerError(
            f"The planned contacts in {folder} are others than those that were loaded last.",
            "Run the job nightly for its own date first; older dates are built from what it leaves.",
        )


def _loaded(con: duckdb.DuckDBPyConnection) -> set[str]:
    return {name for (name,) in con.execute("select distinct file from raw.planned_contacts").fetchall()}


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, hidden names left out; nothing where there is no folder."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise BarometerError(f"{folder} can't be read: {error}", "See that it is a folder and may be read.") from error


def _plan_date(day: Path) -> date:
    try:
        plan_date = date.fromisoformat(day.name)
    except ValueError:
        plan_date = None
    if plan_date is None or day.name != plan_date.isoformat():
        raise BarometerError(
            f"{day} is no folder of a plan date.",
            "Give it back its name (like 2026-07-01), or move it to another place if it is a copy.",
        )
    return plan_date


def _files_of(day: Path) -> list[Path]:
    """Return the files of a plan date. Other kinds of files may lie beside them."""
    files = [path for path in _visible(day) if path.suffix == ".parquet"]
    for path in files:
        if not _FILE.fullmatch(path.name):
            raise BarometerError(
                f"{path} has no name of a file of planned contacts.",
                "Give it back its name (16 hex digits and .parquet), or move it to another place if it is a copy.",
            )
    return files


def _rows_of(con: duckdb.DuckDBPyConnection, path: Path) -> str:
    """Return a query that gives COLUMNS of a file, which has been looked at: whole, unchanged, of its plan date."""
    types = {column: "date" if column == "plan_date" else "varchar" for column in COLUMNS}
    rows = (
        f"select {', '.join(f'cast({column} as {type_}) as {column}' for column, type_ in types.items())} "
        "from (select cast(null as varchar) as holdout_kind where false union all by name "
        f"select * from read_parquet({literal(str(path))}, hive_partitioning = false))"
    )
    try:
        if path.stem != _digest(path):
            raise BarometerError(f"{path} is not as it was written: its content does not fit its name.", _HINT)
        dates = con.execute(f"select distinct plan_date from ({rows})").fetchall()
    except (OSError, duckdb.Error) as error:
        raise BarometerError(f"{path}, a file of planned contacts, can't be read: {error}", _HINT) from error
    if dates != [(date.fromisoformat(path.parent.name),)]:
        raise BarometerError(f"{path} holds planned contacts of another date than its folder.", _HINT)
    return rows


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing, for their owner only, for good."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700)
    fsync(folder.parent)
