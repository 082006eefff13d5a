"""Reads a DuckDB file through: `python -m orchestration.doctor.scan FILE` prints what it holds as JSON.

It is a process of its own, since a damaged file may end the process that reads it. Every column of every table is
read, so that DuckDB compares every block that is in use with its checksum.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from orchestration.landing.quoting import identifier

#: Not that of the settings: what the child imports is most of its time.
_ROOT = Path(__file__).resolve().parents[2]
#: What can be wrong with a file: another program has it open, a later DuckDB wrote it, there was not enough memory
#: to read it, or it is damaged.
HELD, NEWER, MEMORY, DAMAGED = "held", "newer", "memory", "damaged"
_FINGERPRINTS = {
    "build": "select fingerprint from history.build_state",
    "addresses": "select fingerprint from control.build_state",
    "upstream": "select fingerprint from control.upstream_state",
}


@dataclass
class Scan:
    """What a file holds: tables, rows, fingerprints by name, and the dates of its builds as ISO texts."""

    tables: int = 0
    rows: int = 0
    fingerprints: dict[str, str | None] = field(default_factory=dict)
    as_of: str | None = None
    is_final: bool = False
    final_dates: list[str] = field(default_factory=list)
    trouble: str | None = None
    error: str = ""

    @property
    def dates(self) -> set[date]:
        """The dates with a final build."""
        return {date.fromisoformat(text) for text in self.final_dates}


def scan(file: Path) -> Scan:
    """Read a file through in a child process; never raises for what is wrong with the file."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.doctor.scan", str(file)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return Scan(**json.loads(done.stdout))
    except (ValueError, TypeError):
        # killed by the system, most often for want of memory: that says nothing of the file
        is_killed = done.returncode == -signal.SIGKILL
        error = f"the process that read it ended with {done.returncode}"
        return Scan(trouble=MEMORY if is_killed else DAMAGED, error=error)


def read_through(file: Path) -> Scan:
    """Read a file through in this process."""
    found = Scan()
    try:
        with duckdb.connect(str(file), read_only=True) as con:
            for schema, table in con.execute(
                "select schema_name, table_name from duckdb_tables() where not internal order by all"
            ).fetchall():
                name = f"{identifier(schema)}.{identifier(table)}"
                rows, _ = con.execute(f"select count(*), bit_xor(hash(t)) from {name} as t").fetchone() or (0, 0)
                found.tables += 1
                found.rows += rows
            _read_state(con, found)
    except duckdb.Error as error:
        # the first sentence: what follows may quote what was read
        found.error = str(error).strip().splitlines()[0][:200]
        found.trouble = _trouble(error)
    return found


def _trouble(error: duckdb.Error) -> str:
    text = str(error).lower()
    if isinstance(error, duckdb.OutOfMemoryException):
        return MEMORY
    if "conflicting lock" in text or "could not set lock" in text:
        return HELD
    return NEWER if "version number" in text else DAMAGED


def _read_state(con: duckdb.DuckDBPyConnection, found: Scan) -> None:
    """Read what the file says of its builds, as far as it has tables for it."""
    tables = {
        f"{schema}.{table}"
        for schema, table in con.execute("select schema_name, table_name from duckdb_tables()").fetchall()
    }
    for name, query in _FINGERPRINTS.items():
        if query.rpartition(" ")[2] in tables:
            row = con.execute(query).fetchone()
            found.fingerprints[name] = row[0] if row else None
    if "marts.build_info" in tables:
        row = con.execute("select as_of::varchar, is_final from marts.build_info").fetchone()
        found.as_of, found.is_final = row or (None, False)
    if "history.built_dates" in tables:
        found.final_dates = [
            text for (text,) in con.execute("select as_of::varchar from history.built_dates where is_final").fetchall()
        ]


if __name__ == "__main__":
    print(json.dumps(asdict(read_through(Path(sys.argv[1])))))  # noqa: T201
