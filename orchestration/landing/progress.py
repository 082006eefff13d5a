"""Progress lines: a word every few seconds while something takes long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

import duckdb


class Heartbeat:
    """Reports what is being done whenever it takes longer than ``seconds``, from a thread of its own."""

    def __init__(
        self, con: duckdb.DuckDBPyConnection, report: Callable[[str], None], what: str, seconds: float = 3
    ) -> None:
        self._con = con
        self._report = report
        self._what = what
        self._seconds = seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._started = time.perf_counter()

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._done.wait(self._seconds):
            seconds = time.perf_counter() - self._started
            share = self._con.query_progress()
            step = f", {share:.0f} % of this step" if share > 0 else ""
            self._report(f"{self._what}: {seconds:.0f} s{step}")
