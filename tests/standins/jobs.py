"""A provider that works in the background: jobs that wait for a look or two, and files that say what they left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.standins.server import Answer, Faults, Request, StandIn


@dataclass
class _Job:
    effect: Callable[[], Any]
    looks: int
    result: Any = None
    is_done: bool = False


@dataclass
class Jobs:
    """What is under way. ``looks``: how many say that a job has not ended yet."""

    looks: int = 1
    _jobs: list[_Job] = field(default_factory=list)

    def add(self, effect: Callable[[], Any]) -> int:
        """Take a job, and return its number; what it does is done later."""
        self._jobs.append(_Job(effect, self.looks))
        return len(self._jobs)

    def look(self, number: int) -> tuple[bool, Any]:
        """Return whether a job has ended, and what it came to."""
        job = self._jobs[number - 1]
        if not job.is_done and job.looks > 0:
            job.looks -= 1
            return False, None
        self.finish(number)
        return True, job.result

    def has(self, number: int) -> bool:
        """Return whether there is such a job."""
        return 0 < number <= len(self._jobs)

    def finish(self, last: int | None = None) -> None:
        """Do all that waits, or all up to a job."""
        for job in self._jobs[:last]:
            if not job.is_done:
                job.result, job.is_done = job.effect(), True


class WithFiles(StandIn):
    """A provider whose answers link to files of another host: calls for them are no calls of its API.

    ``files``: path -> what lies there. ``files_host``: where links go, if not here. That host is never busy.
    """

    _FILES = "/files/"

    def __init__(self, faults: Faults | None = None, second: float = 1.0) -> None:
        super().__init__(faults, second)
        self.files: dict[str, bytes] = {}
        self.files_host: str | None = None

    def keep_file(self, name: str, lines: Sequence[str]) -> str:
        """Put lines into a file, and return the link to it."""
        self.files[f"{self._FILES}{name}"] = "\n".join(lines).encode()
        return f"{self.files_host or self.url}{self._FILES}{name}"

    def take(self, request: Request) -> Answer | None:
        if not request.path.startswith(self._FILES):
            return super().take(request)
        with self._lock:
            if not request.headers.keys().isdisjoint({"authorization", "api-key"}):
                self.problem("a secret went to the host of files")
            fault = self.faults.next() or ""
            if fault.startswith("cut"):
                return None
            if fault.startswith("error"):
                return Answer(500)
            return Answer(200, self.files[request.path], {"Content-Type": "text/csv"})
