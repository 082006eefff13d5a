"""Runs dbt as a child process that dies with its parent and holds the warehouse lock with it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from orchestration.settings import DBT_PROJECT, ROOT, Settings
from orchestration.warehouse.files import MEMORY_LIMIT, memory_limit

_PR_SET_PDEATHSIG = 1
#: No file log, no colours, nothing sent anywhere.
_QUIET = {
    "DBT_LOG_LEVEL_FILE": "none",
    "DBT_USE_COLORS": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
}


def dbt_command() -> list[str]:
    """Return the command that runs the installed dbt, whatever the PATH says."""
    return [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]


def dbt_environment(settings: Settings, target: Path, is_backfill: bool = False) -> dict[str, str]:
    """Return the environment that points dbt, started in the warehouse's folder, at the files of a run.

    They are named relative to it, always alike: dbt parses everything again where a profile differs.
    """
    return {
        **os.environ,
        **_QUIET,
        "BAROMETER_TARGET": f"{settings.target}_backfill" if is_backfill else settings.target,
        "BAROMETER_WORKING_FILE": str(settings.working_file.relative_to(settings.warehouse)),
        "BAROMETER_BUILD_FILE": str(settings.build_file.relative_to(settings.warehouse)),
        MEMORY_LIMIT: memory_limit(),
        "DBT_PROFILES_DIR": str(ROOT),
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "DBT_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
    }


def run_environment(settings: Settings, target: Path, is_backfill: bool, is_parsed: bool) -> dict[str, str]:
    """Return the environment of a run: nobody reads dbt's artifacts, its events say all.

    ``is_parsed``: the parsed project in ``target`` is of the files as they are, so they need not be compared.
    """
    return {
        **dbt_environment(settings, target, is_backfill),
        "DBT_WRITE_JSON": "false",
        "DBT_PARTIAL_PARSE_FILE_DIFF": "false" if is_parsed else "true",
    }


def start_dbt(
    args: Sequence[str], environment: Mapping[str, str], warehouse: Path, lock: int | None
) -> subprocess.Popen[bytes]:
    """Start dbt in the warehouse's folder; its standard output carries one JSON event a line, and its errors.

    ``lock`` is the descriptor of the warehouse lock, which the child inherits: if the parent is killed the lock stays
    held until the child is gone too, so that no other run writes beside it.
    """
    return subprocess.Popen(
        [*dbt_command(), *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd=warehouse,
        pass_fds=() if lock is None else (lock,),
        preexec_fn=partial(_die_with, os.getpid()) if sys.platform == "linux" else None,
    )


_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, however it ends; end now if it has."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
