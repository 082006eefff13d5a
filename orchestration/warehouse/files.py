"""Opens DuckDB files with errors that say what to do, fills and removes them, and waits until files are on the disk."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from orchestration.errors import BarometerError, hint_of_machine
from orchestration.landing.quoting import literal

#: The most memory that DuckDB takes, in its words (8GB); what it can't hold goes to the disk.
MEMORY_LIMIT = "BAROMETER_MEMORY_LIMIT"

#: The oldest DuckDB that can read the files made here. From it on texts are compressed in one way that is found without
#: trying several, which takes a third off writing a table of raw rows and reads no slower.
STORAGE_VERSION = "v1.3.0"

#: How a file of `as_file` is read: every text is quoted, whatever is in it.
_AS_WRITTEN = (
    "auto_detect = false, header = false, delim = ',', quote = '\"', escape = '\"', new_line = '\\n', comment = '', "
    "allow_quoted_nulls = false, parallel = false"
)


@contextmanager
def open_duckdb(path: Path, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB file in UTC and close it; raises BarometerError where it can't be opened."""
    if not read_only:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        if not read_only and not path.exists():
            _create(path)
        con = duckdb.connect(str(path), read_only=True) if read_only else connect_to_write(path)
    except duckdb.Error as error:
        hint = (
            "Close the program that holds it (a BI tool should open barometer.duckdb instead), then run again."
            if "conflicting lock" in str(error).lower()
            else hint_of_machine(str(error)) or "`make doctor` looks at it, at its folder and at the disk."
        )
        raise BarometerError(f"{path} can't be opened: {error}", hint) from error
    if not read_only:
        # addresses and names are in the working file; only the published copy is for everybody
        path.chmod(0o600)
    try:
        con.execute("set TimeZone = 'UTC'")
        _limit_memory(con)
        yield con
    finally:
        con.close()


def connect_to_write(path: Path) -> duckdb.DuckDBPyConnection:
    """Connect to a DuckDB file that will be written.

    A checkpoint merges row groups that are not full, and by itself would write most of a table once more that was just
    filled. Here it merges none, a file is opened for a few rows again and again; dbt's merge one of each table, which
    keeps up with what a day adds and deletes (profiles.yml).
    """
    con = duckdb.connect(str(path))
    con.execute("set max_vacuum_tasks = 0")
    return con


def attach_fresh(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Attach a file that is not there yet as ``fresh``."""
    con.execute(f"attach {literal(str(path))} as fresh (storage_version {literal(STORAGE_VERSION)})")


def _limit_memory(con: duckdb.DuckDBPyConnection) -> None:
    limit = os.environ.get(MEMORY_LIMIT)
    if not limit:
        return
    try:
        con.execute("set memory_limit = $limit", {"limit": limit})
    except duckdb.Error as error:
        raise BarometerError(
            f"{MEMORY_LIMIT} is {limit!r}, which is no amount of memory.", "Set it to 8GB, say."
        ) from error


def _create(path: Path) -> None:
    """Make an empty DuckDB file that appears whole: one that a killed run left half-made could not be opened."""
    unfinished = path.with_name(f".{path.name}.tmp")
    remove_duckdb(unfinished)
    duckdb.connect(str(unfinished), config={"storage_compatibility_version": STORAGE_VERSION}).close()
    unfinished.chmod(0o600)
    # of a file that somebody removed
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    unfinished.rename(path)


def remove_duckdb(path: Path) -> None:
    """Remove a DuckDB file, if it is there, with its write-ahead log."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def as_file(rows: Iterable[Sequence[str | None]], columns: Sequence[str], folder: Path) -> Iterator[str]:
    """Write rows to a file in ``folder`` that their owner alone can read, and give SQL for them while it is there.

    All ``columns`` are texts; None comes as an empty one. Rows that SQLite or Python has get into DuckDB in a third of
    the time that lists of values take.
    """
    with TemporaryDirectory(prefix=".rows.", suffix=".tmp", dir=folder) as temporary:
        file = Path(temporary) / "rows.csv"
        with file.open("w", encoding="utf-8", newline="") as text:
            csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        types = ", ".join(f"{literal(name)}: 'varchar'" for name in columns)
        yield f"read_csv({literal(str(file))}, columns = {{{types}}}, {_AS_WRITTEN})"
