"""The lock of the warehouse: one run writes at a time, and its dbt child holds the lock with it."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestration.errors import BarometerError

#: How long a run waits for another one.
LOCK_WAIT_SECONDS = 1800.0


class LockedError(BarometerError):
    """Somebody else holds a lock for longer than one waits."""


@contextmanager
def warehouse_lock(warehouse: Path, wait_seconds: float, report: Callable[[str], None]) -> Iterator[int]:
    """Hold an exclusive ``flock`` on ``warehouse/.lock`` and yield its file descriptor.

    Waits up to ``wait_seconds`` for a run that holds it and says so; then raises BarometerError. The kernel frees the
    lock when the last process that inherited the descriptor ends, however it ends.
    """
    with file_lock(warehouse / ".lock", wait_seconds, report, f"Another run is writing to {warehouse}") as descriptor:
        yield descriptor


@contextmanager
def file_lock(path: Path, wait_seconds: float, report: Callable[[str], None], why: str) -> Iterator[int]:
    """Hold an exclusive ``flock`` on a file, as `warehouse_lock` does; ``why`` is what is said while it waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        deadline = time.monotonic() + wait_seconds
        said_so = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LockedError(
                        f"Another run has held {path} for more than {wait_seconds:.0f} seconds.",
                        "Wait until it has ended, or stop it; then start again.",
                    ) from None
                if not said_so:
                    report(f"{why}; waiting up to {wait_seconds:.0f} seconds for it.")
                    said_so = True
                time.sleep(0.2)
        yield file.fileno()


@contextmanager
def not_beside_a_run(warehouse: Path, what: str, otherwise: str = "") -> Iterator[None]:
    """Share the lock while a file is read: a run that starts waits, where DuckDB would refuse it the file.

    ``what`` is the file, in words, and ``otherwise`` what can be done instead of asking again. Raises BarometerError
    where a run holds the lock, or the user may not read it.
    """
    try:
        file = (warehouse / ".lock").open()
    except OSError as error:
        raise BarometerError(
            f"{what[0].upper()}{what[1:]} can't be read: {error}",
            f"Ask as the user who runs the pipeline{otherwise}.",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BarometerError(f"A run is writing to {what}.", f"Ask again when it has ended{otherwise}.") from None
        yield
