"""Jobs of a provider that works in the background: each waits for a look or two, and all are done in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


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
