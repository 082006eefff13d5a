"""Guards: what stops additions and ordinary removals of an audience, and never those that somebody asked for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

PAST, BLOCKED, INCOMPLETE, FALLEN, NOT_EMPTY = "past", "blocked", "incomplete", "fallen", "not-empty"
#: Name of a guard -> what its flag lets through for one run.
GUARDS = {
    PAST: "send extracts whose plan date is past",
    BLOCKED: "send although a blocking check failed or the build is older than what is loaded",
    INCOMPLETE: "send a file that is not as it was written",
    FALLEN: "send although an audience has lost most of its candidates",
    NOT_EMPTY: "take over a list whose members can't be read; who else is in it stays in it",
}


@dataclass(frozen=True)
class Guard:
    """What stops an audience, in words for people."""

    name: str
    message: str


@dataclass(frozen=True)
class Facts:
    """What guards go by. ``candidates``: of the audience, now and when it was last sent; None: not known."""

    plan_date: date
    today: date
    blocked: str | None
    is_whole_file: bool
    candidates: int | None
    candidates_before: int | None
    max_fall: float
    is_unknown_list: bool = False


def guards(facts: Facts, allowed: Collection[str] = ()) -> list[Guard]:
    """Return every guard that stops an audience, but for those of ``allowed``."""
    found: list[Guard] = []
    if facts.plan_date < facts.today:
        found.append(Guard(PAST, f"the plan is for {facts.plan_date}, and today is {facts.today}"))
    if facts.blocked is not None:
        found.append(Guard(BLOCKED, facts.blocked))
    if not facts.is_whole_file:
        found.append(Guard(INCOMPLETE, "its extract is missing, or not as it was written; run the pipeline again"))
    before, now = facts.candidates_before, facts.candidates
    if before and now is not None and (now == 0 or now < before * (1 - facts.max_fall)):
        found.append(
            Guard(
                FALLEN,
                f"{now:,} candidates are left of {before:,}: fewer than {1 - facts.max_fall:.0%} of those when it was "
                "last sent; see that all landing files have come",
            )
        )
    if facts.is_unknown_list:
        found.append(
            Guard(
                NOT_EMPTY,
                "its first sync: the provider does not say who is in the list; see that it is empty, then write "
                "starts_empty: true under guards",
            )
        )
    # nobody can allow a file that is not there
    wanted = set(allowed) - (set() if facts.is_whole_file else {INCOMPLETE})
    return [guard for guard in found if guard.name not in wanted]
