"""A process that has imported all that a run needs, and forks a run of the command for each line on its input.

Half of the time of a short run goes into imports, in which there is nothing to be killed for. A line is JSON: the
environment and the file for the output. It answers `<pid>`, and `<pid> <status>` when a run has ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback


def run(environment: dict[str, str], log: str) -> None:
    """Be a run of the pipeline."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.clear()
    os.environ.update(environment)
    import tempfile

    tempfile.tempdir = None
    from orchestration.command_line import main

    status = 0
    try:
        main(["run"])
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    import dagster_dbt  # noqa: F401

    import orchestration.definitions  # noqa: F401
    import orchestration.summary  # noqa: F401

    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1000)
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    break
                if pid == 0:
                    break
                print(pid, os.waitstatus_to_exitcode(status), flush=True)
        if 0 in ready:
            line = sys.stdin.buffer.raw.readline()
            if not line:
                return
            told = json.loads(line)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                run(told["environment"], told["log"])
            print(pid, flush=True)


if __name__ == "__main__":
    main()
