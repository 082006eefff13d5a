"""Runs the tests by group and prints the seconds of each; `python -m tests.groups lint unit` runs some of them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PYTEST = [sys.executable, "-m", "pytest", "-q"]

#: Name of a group -> commands that must all succeed, from the fastest news to the slowest.
GROUPS: dict[str, Sequence[Sequence[str]]] = {
    "lint": (
        [str(BIN / "ruff"), "check", "."],
        [str(BIN / "ruff"), "format", "--check", "."],
        [str(BIN / "mypy")],
        [sys.executable, "-m", "orchestration", "parse"],
    ),
    "dbt unit tests": ([sys.executable, "-m", "tests.dbt_unit_tests"],),
    "unit": ([*PYTEST, "-n", "2", "tests/unit"],),
    "properties": ([*PYTEST, "-n", "2", "tests/properties"],),
    "end to end": ([*PYTEST, "-n", "2", "--dist", "loadfile", "tests/integration"],),
    "browser": ([*PYTEST, "tests/browser"],),
    "faults": ([*PYTEST, "tests/faults"],),
}


def main(names: Sequence[str]) -> int:
    """Run the groups named, or all; return 1 if any failed."""
    unknown = set(names) - set(GROUPS)
    if unknown:
        print(f"There is no group {', '.join(sorted(unknown))}; there are: {', '.join(GROUPS)}.")
        return 2
    lines, is_failed = [], False
    for name, commands in GROUPS.items():
        if names and name not in names:
            continue
        print(f"\n=== {name}", flush=True)
        started = time.perf_counter()
        codes = [subprocess.run(command, cwd=ROOT, check=False).returncode for command in commands]
        ok = not any(codes)
        is_failed |= not ok
        lines.append(f"{name:<16} {time.perf_counter() - started:7.1f} s  {'ok' if ok else 'FAILED'}")
    print("\n" + "\n".join(lines), flush=True)
    return int(is_failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
