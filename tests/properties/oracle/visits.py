"""Visits: one a session and date, or one a run of events without a gap of more than 30 minutes on a date."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from .identity import credited_events
from .world import Row, World


@dataclass(frozen=True)
class Visit:
    """One visit; it begins and ends on ``day``."""

    day: date
    begins: datetime
    ends: datetime
    session_id: str | None


@dataclass(frozen=True)
class VisitDays:
    """The visits of one user, and how many of them only continue the visit of the evening before."""

    visits: tuple[Visit, ...]
    continued: int

    @property
    def days(self) -> list[date]:
        """The visit-days, ascending."""
        return sorted({visit.day for visit in self.visits})

    @property
    def count(self) -> int:
        """The number of visits ever as the engagement family counts them."""
        return len(self.visits) - self.continued


def visits_of_day(world: World, day: date, events: list[Row]) -> list[Visit]:
    """The visits that one user's visiting events of one date make."""
    sessions: dict[str, list[datetime]] = defaultdict(list)
    loose: list[datetime] = []
    for event in events:
        if event.get("session_id") is not None:
            sessions[event["session_id"]].append(event["timestamp"])
        else:
            loose.append(event["timestamp"])
    visits = [Visit(day, min(times), max(times), session) for session, times in sessions.items()]
    runs: list[list[datetime]] = []
    for time in sorted(loose):
        if runs and time - runs[-1][-1] <= timedelta(minutes=world.visit_gap_minutes):
            runs[-1].append(time)
        else:
            runs.append([time])
    return visits + [Visit(day, run[0], run[-1], None) for run in runs]


def continues(world: World, before: list[Visit], after: list[Visit]) -> bool:
    """Whether the first visit of a date continues the last of the date before."""
    if not before or not after:
        return False
    end = max(visit.ends for visit in before)
    begin = min(visit.begins for visit in after)
    if begin - end <= timedelta(minutes=world.visit_gap_minutes):
        return True
    last = {visit.session_id for visit in before if visit.ends == end}
    first = {visit.session_id for visit in after if visit.begins == begin}
    return bool((last & first) - {None})


def visits_by_user(world: World, day: date) -> dict[str, VisitDays]:
    """The visits up to the end of ``day`` of each user who has one."""
    events: dict[str, dict[date, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for user, event in credited_events(world, day):
        meaning = world.taxonomy.get(event["event"])
        if meaning is not None and meaning.is_visit:
            events[user][world.date_of(event["timestamp"])].append(event)
    users = {}
    for user, days in events.items():
        visits = {d: visits_of_day(world, d, rows) for d, rows in days.items()}
        continued = sum(continues(world, visits.get(d - timedelta(days=1), []), visits[d]) for d in visits)
        users[user] = VisitDays(tuple(visit for d in sorted(visits) for visit in visits[d]), continued)
    return users
