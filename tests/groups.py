"""Runs the tests by group and prints the seconds of each; `python -m tests.groups lint unit` runs some of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = [sys.executable, "-m", "pytest", "-q"]

#: Stories of whole runs, which take minutes: begun first, so that no process waits for the last of them.
_LONGEST = ("kinds_of_run", "plan_in_the_loop", "one_asset_alone")
#: A whole run of a copy of the project: beside the faults, which leave a core idle at times.
_ADDING = "tests/integration/test_adding.py"
#: Whole runs of what is tested in the compiled-SQL runner too: `make soak` runs these.
_LONG = (
    "ab_tests_find_the_truth",
    "backfill_in_the_ui",
    "dose_in_the_loop",
    "explain",
    "one_more_day",
    "sixty_days",
    "worlds_through_dbt",
)
_SOAK = {f"tests/integration/test_{name}.py" for name in _LONG}
_STORIES = [f"tests/integration/test_{name}.py" for name in _LONGEST]
_OTHERS = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests" / "integration").glob("test_*.py")}
_SPARK = "tests/integration/test_spark_target.py"
#: What starts a session of Spark, what takes long first: `make spark-parity` runs all of it, CI a part.
_WITH_SPARK = ["tests/properties/test_spark_parity.py", "tests/unit/pipeline/test_pipeline_spark_macros.py", _SPARK]
_END_TO_END = [*_STORIES, *sorted(_OTHERS - {*_STORIES, _ADDING, _SPARK} - _SOAK)]

#: Name of a group -> commands that must all succeed, from the fastest news to the slowest.
GROUPS: dict[str, Sequence[Sequence[str]]] = {
    "lint": (
        [str(BIN / "ruff"), "check", "."],
        [str(BIN / "ruff"), "format", "--check", "."],
        [str(BIN / "mypy")],
        [sys.executable, "-m", "orchestration", "parse"],
    ),
    "dbt unit tests": ([sys.executable, "-m", "tests.dbt_unit_tests"],),
    "unit": ([*PYTEST, "-m", "not spark", "-n", "2", "tests/unit"],),
    "properties": ([*PYTEST, "-m", "not spark", "-n", "2", "tests/properties"],),
    "spark": (
        [*PYTEST, "-m", "spark and not spark_parity", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
        + _WITH_SPARK,
    ),
    "spark parity": ([*PYTEST, "-m", "spark", *_WITH_SPARK],),
    "end to end": (
        [*PYTEST, "-m", "not soak", "-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *_END_TO_END],
    ),
    "browser": ([*PYTEST, "tests/browser"],),
    "adding": ([*PYTEST, _ADDING],),
    "faults": ([*PYTEST, "tests/faults"],),
    "long stories": ([*PYTEST, *sorted(_SOAK)], [*PYTEST, "-m", "soak", "tests/integration"]),
    "orders": ([sys.executable, "-m", "tests.properties.orders", "--orders", "1000"],),
    "syncs": ([sys.executable, "-m", "tests.properties.syncs", "--scripts", "2000"],),
    "kills": ([sys.executable, "-m", "tests.faults.soak", "--kills", "300"],),
}
#: What runs only when it is named.
_ON_REQUEST = {"spark parity", "adding", "orders", "long stories", "syncs", "kills"}
#: One after the other: lanes that run side by side, each a row of groups that need one core. What has two processes of
#: its own is alone.
STAGES: Sequence[Sequence[Sequence[str]]] = (
    (("lint", "dbt unit tests", "browser"), ("faults",)),
    (("unit",),),
    (("properties",),),
    (("spark",),),
    (("end to end",),),
    (("orders", "adding"), ("long stories",)),
    (("syncs",), ("kills",)),
    (("spark parity",),),
)


def main(names: Sequence[str]) -> int:
    """Run the groups named, or all; return 1 if any failed."""
    unknown = set(names) - set(GROUPS)
    if unknown:
        print(f"There is no group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}.")
        return 2
    lines, is_failed = [], False
    for stage in STAGES:
        chosen = [[name for name in lane if name in names or (not names and name not in _ON_REQUEST)] for lane in stage]
        lanes = [lane for lane in chosen if lane]
        with ThreadPoolExecutor(max(len(lanes), 1)) as pool:
            for done in pool.map(_run_lane, lanes, [len(lanes) > 1] * len(lanes)):
                for name, ok, seconds in done:
                    is_failed |= not ok
                    lines.append(f"{name:<16} {seconds:7.1f} s  {'ok' if ok else 'FAILED'}")
    print("\n" + "\n".join(lines), flush=True)
    return int(is_failed)


def _run_lane(names: Sequence[str], is_beside_another: bool) -> list[tuple[str, bool, float]]:
    """Run groups one after the other; return the name of each, whether it succeeded, and its seconds."""
    return [(name, *_run(name, is_beside_another)) for name in names]


def _run(name: str, is_beside_another: bool) -> tuple[bool, float]:
    """Run a group and return whether it succeeded, and its seconds. Beside another its output is printed in the end."""
    if not is_beside_another:
        print(f"\n=== {name}", flush=True)
    started = time.perf_counter()
    kept = subprocess.PIPE if is_beside_another else None
    done = [
        subprocess.run(
            command, cwd=ROOT, check=False, stdout=kept, stderr=subprocess.STDOUT if kept else None, text=True
        )
        for command in GROUPS[name]
    ]
    seconds = time.perf_counter() - started
    if is_beside_another:
        print(f"\n=== {name}\n" + "".join(run.stdout for run in done), flush=True)
    return not any(run.returncode for run in done), seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
