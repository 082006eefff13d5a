"""The program of a dbt child that is started ahead: it imports dbt, then waits until it is told what to run.

It opens no file of ours before: its arguments, environment, folder and the lock come through the socket that is its
standard input (`DbtAhead` sends them). Told nothing, it ends.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import socket
import sys

_PART = 1 << 16


def main() -> None:
    """Be dbt, once told how."""
    # what it makes stays until it ends: to look for garbage among it takes seconds
    gc.set_threshold(50_000, 20, 50)
    atexit.register(gc.freeze)
    import dbt.adapters.duckdb
    import dbt.task.build  # noqa: F401
    from dbt.cli.main import cli

    with socket.socket(fileno=0) as told:
        # the descriptor of the lock stays open as long as this process lives
        text, _, _, _ = socket.recv_fds(told, 1, 1)
        while part := told.recv(_PART):
            text += part
    if not text:
        return
    what = json.loads(text)
    # takes the number of the standard input
    os.open(os.devnull, os.O_RDONLY)
    os.chdir(what["folder"])
    os.environ.clear()
    os.environ.update(what["environment"])
    sys.argv = ["dbt", *what["args"]]
    cli()


if __name__ == "__main__":
    main()
