"""Runs the whole pipeline as `make run` does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

from orchestration.settings import ROOT

RUN = [sys.executable, "-m", "orchestration", "run"]


def environment(landing: Path, data: Path, as_of: date) -> dict[str, str]:
    """The environment of a run as of a date, on the day after it; what this process was told by one is left out."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("BAROMETER", "DAGSTER"))} | {
        "BAROMETER_LANDING": str(landing),
        "BAROMETER_DATA": str(data),
        "BAROMETER_AS_OF": as_of.isoformat(),
        "BAROMETER_TODAY": (as_of + timedelta(days=1)).isoformat(),
        "BAROMETER_SETTLE_SECONDS": "0",
    }


def run_pipeline(landing: Path, data: Path, as_of: date, project: Path = ROOT, **variables: str) -> str:
    """Run the pipeline of a ``project`` with more ``variables``; it must succeed. Return what it said."""
    done = subprocess.run(
        RUN,
        cwd=project,
        env={**environment(landing, data, as_of), "PYTHONPATH": str(project), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
