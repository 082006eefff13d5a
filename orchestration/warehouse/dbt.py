"""Runs dbt as a child process that dies with its parent and holds the warehouse lock with it."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from orchestration.settings import DBT_PROJECT, ROOT, Settings

#: What starts dbt: with its arguments, its environment, the warehouse's folder and the lock.
StartDbt = Callable[[Sequence[str], Mapping[str, str], Path, int | None], "subprocess.Popen[bytes]"]
_PR_SET_PDEATHSIG = 1
#: No file log, no colours, nothing sent anywhere; each line as it comes.
_QUIET = {
    "DBT_LOG_LEVEL_FILE": "none",
    "DBT_USE_COLORS": "false",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
}


def dbt_command() -> list[str]:
    """Return the command that runs the installed dbt, whatever the PATH says."""
    return [sys.executable, "-c", "from dbt.cli.main import cli; cli()"]


def dbt_environment(settings: Settings, target: Path, is_backfill: bool = False) -> dict[str, str]:
    """Return the environment that points dbt, started in the warehouse's folder, at the files of a run.

    They are named relative to it, always alike: dbt parses everything again where a profile differs.
    """
    of_spark = {
        # where the files of its tables are; it looks for this machine's address otherwise, and listens there
        "BAROMETER_SPARK_TABLES": str(settings.spark_tables),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    return {
        **os.environ,
        **_QUIET,
        **(of_spark if settings.is_on_spark else {}),
        "BAROMETER_TARGET": f"{settings.target}_backfill" if is_backfill else settings.target,
        "BAROMETER_WORKING_FILE": str(settings.working_file.relative_to(settings.warehouse)),
        "BAROMETER_BUILD_FILE": str(settings.build_file.relative_to(settings.warehouse)),
        "DBT_PROFILES_DIR": str(ROOT),
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(target),
        "DBT_LOG_FORMAT": "json",
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
    return _start([*dbt_command(), *args], environment, warehouse, lock)


class DbtAhead:
    """Starts dbt as `start_dbt` does, but in a child that has imported it meanwhile, where `begin` was called."""

    def __init__(self) -> None:
        self._waiting: tuple[subprocess.Popen[bytes], socket.socket] | None = None

    def __enter__(self) -> DbtAhead:
        return self

    def __exit__(self, *_: object) -> None:
        """End a child that nobody has told anything."""
        if self._waiting is not None:
            process, tell = self._waiting
            self._waiting = None
            process.kill()
            process.communicate()
            tell.close()

    def begin(self) -> None:
        """Let a child import dbt, if none waits yet. It ends with the thread that calls this."""
        if self._waiting is not None:
            return
        mine, its = socket.socketpair()
        with its:
            command = [sys.executable, "-P", str(Path(__file__).with_name("waiting_dbt.py"))]
            self._waiting = _start(command, {**os.environ, **_QUIET}, None, None, its.fileno()), mine

    def start(
        self, args: Sequence[str], environment: Mapping[str, str], warehouse: Path, lock: int | None
    ) -> subprocess.Popen[bytes]:
        """Run dbt in the child that waits, which then holds the lock too; without one in a new child."""
        if self._waiting is None or self._waiting[0].poll() is not None:
            return start_dbt(args, environment, warehouse, lock)
        process, tell = self._waiting
        self._waiting = None
        told = {"args": list(args), "environment": dict(environment), "folder": str(warehouse)}
        with tell:
            # before the JSON a blank, that carries the descriptor
            socket.send_fds(tell, [b" "], [] if lock is None else [lock])
            tell.sendall(json.dumps(told).encode())
        return process


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path | None,
    lock: int | None,
    stdin: int | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd=folder,
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
