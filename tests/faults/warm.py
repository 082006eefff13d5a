"""A process that has imported all that a run needs, and forks a run of the command for each line on its input.

Half of the time of a short run goes into imports, in which there is nothing to be killed for. A line is JSON: the
arguments, the environment and the file for the output. It answers `<pid>`, and `<pid> <status>` when a run has ended.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import traceback

#: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_PASSING_BY = (1, 2)
_PR_CAPBSET_DROP = 24


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop_privileges() -> None:
    """Give up the right to pass by the rights of files, which root has."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = _Header(0x20080522, 0), (_Data * 2)()
    libc.capget(ctypes.byref(header), data)
    for number in _PASSING_BY:
        data[0].effective &= ~(1 << number)
        data[0].permitted &= ~(1 << number)
    assert libc.capset(ctypes.byref(header), data) == 0, os.strerror(ctypes.get_errno())
    # nor may a child that runs a program have it again
    for number in _PASSING_BY:
        libc.prctl(_PR_CAPBSET_DROP, number)


def run(arguments: list[str], environment: dict[str, str], log: str, is_unprivileged: bool) -> None:
    """Be a command of the pipeline."""
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
        if is_unprivileged:
            drop_privileges()
        main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
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
                run(told["arguments"], told["environment"], told["log"], told["is_unprivileged"])
            print(pid, flush=True)


if __name__ == "__main__":
    main()
