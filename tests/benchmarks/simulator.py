"""How long the simulator takes for a world of about ten million events, from nothing to files."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import duckdb

from orchestration.settings import ROOT


def simulated_world(folder: Path, users: int) -> list[tuple[str, float, str]]:
    """Return events, messages and seconds of a world of ``users`` people over the usual days, as Parquet."""
    out = folder / "world"
    command = [sys.executable, "-m", "data.simulator", "--out", str(out), "--users", str(users), "--format", "parquet"]
    started = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    counts = {
        dataset: duckdb.sql(f"select count(*) from '{out}/{dataset}/**/*.parquet'").fetchall()[0][0]
        for dataset in ("events", "messages")
    }
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    return [
        (f"simulator, {users:,} people: events", counts["events"], "rows"),
        (f"simulator, {users:,} people: messages", counts["messages"], "rows"),
        (f"simulator, {users:,} people: files", size, "MB"),
        (f"simulator, {users:,} people: from nothing to files", seconds, "s"),
    ]
