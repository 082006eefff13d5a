"""Where the seconds of a daily run in which nothing happened go, part by part."""

from __future__ import annotations

import re
import statistics
import subprocess
import time
from datetime import date, timedelta
from pathlib import Path

from orchestration.settings import ROOT
from tests.pipeline import RUN, environment

_FIRST = date(2026, 6, 30)
_PARTS = re.compile(r"([a-z][a-z ]*) (\d+\.\d)")
_DBT_START = re.compile(r"of which (\d+\.\d) to start")


def empty_daily_runs(folder: Path, nights: int) -> list[tuple[str, float, str]]:
    """Return seconds by part of runs on the sample without new files: the same date again, and the next date.

    Each is the median of ``nights`` runs, after a first one that loads and builds.
    """
    _run(folder, _FIRST)
    same = [_run(folder, _FIRST) for _ in range(nights)]
    following = [_run(folder, _FIRST + timedelta(days=n + 1)) for n in range(nights)]
    return [
        (f"empty daily run, {which}: {part}", statistics.median(run[part] for run in runs), "s")
        for which, runs in (("same date again", same), ("next date", following))
        for part in runs[0]
    ]


def _run(folder: Path, as_of: date) -> dict[str, float]:
    """Run once and return the seconds of each part: those that the summary prints, and of the process as a whole."""
    started = time.perf_counter()
    done = subprocess.run(
        RUN,
        cwd=ROOT,
        env=environment(ROOT / "data" / "sample", folder / "overhead", as_of),
        check=True,
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - started
    line = next(line for line in done.stdout.splitlines() if line.startswith("Seconds"))
    parts = {name: float(seconds) for name, seconds in _PARTS.findall(line.removeprefix("Seconds"))}
    if told := _DBT_START.search(done.stderr):
        parts["of dbt, to start"] = float(told[1])
    return {**parts, "the process as a whole": took}
