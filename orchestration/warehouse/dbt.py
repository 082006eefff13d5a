"""Runs dbt as a child process that dies with its parent and holds the warehouse lock with it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestration.settings import DBT_PROJECT, ROOT, Settings
from orchestration.warehouse.project import QUIET, dbt_command

_PR_SET_PDEATHSIG = 1


def dbt_environment(settings: Settings, build_file: Path, target: Path) -> dict[str, str]:
    """Return the environment that points dbt at the warehouse files of a run."""
    return {
        **os.environ,
        **QUIET,
        "BAROMETER_TARGET": settings.target,
        "BAROMETER_WORKING_FILE": str(settings.working_file),
        "BAROMETER_BUILD_FILE": str(build_file),
        "DBT_PROFILES_DIR": str(ROOT),
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "DBT_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }


def start_dbt(args: Sequence[str], environment: Mapping[str, str], lock: int | None) -> subprocess.Popen[bytes]:
    """Start dbt; its standard output carries one JSON event a line, and its errors.

    ``lock`` is the descriptor of the warehouse lock, which the child inherits: if the parent is killed the lock stays
    held until the child is gone too, so that no other run writes beside it.
    """
    return subprocess.Popen(
        [*dbt_command(), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd=DBT_PROJECT,
        pass_fds=() if lock is None else (lock,),
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends, however it ends."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
