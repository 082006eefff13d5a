"""The segment family engagement."""

from __future__ import annotations

from datetime import date

from .visits import VisitDays
from .world import World


def engagement_segment(world: World, visits: VisitDays | None, day: date) -> str:
    """The first rule that fits."""
    if visits is None:
        return "never_seen"
    if (day - visits.days[0]).days <= world.new_days:
        return "new"
    if visits.count == 1:
        return "one_time"
    if (day - visits.days[-1]).days > world.dormant_days:
        return "dormant"
    return "engaged"
