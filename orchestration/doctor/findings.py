"""What a check found: a line each, with what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

OK, WARNING, BROKEN = "ok", "warning", "broken"


@dataclass(frozen=True)
class Finding:
    """A line of the report. ``mend`` does what can be done without losing anything, and returns what it did."""

    state: str
    about: str
    said: str
    todo: str = ""
    mend: Callable[[], str] | None = field(default=None, compare=False)

    def lines(self) -> list[str]:
        """Return the finding as lines of text."""
        said = [f"{self.state:<8} {self.about}: {self.said}"]
        return [*said, f"{'':<8} What to do: {self.todo}"] if self.todo else said


def is_broken(findings: Iterable[Finding]) -> bool:
    """Whether one of them keeps the pipeline from running, or what it made from being used."""
    return any(finding.state == BROKEN for finding in findings)
