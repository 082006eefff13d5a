"""The segment families engagement and engagement_outlook."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from .as_of import AsOf
from .contacts import is_reaction
from .numbers import rounded


def engagement(now: AsOf) -> dict[str, str]:
    """How used a user is to visiting."""
    world = now.world

    def segment(user: str) -> str:
        visits = now.visits.get(user)
        if visits is None:
            return "never_seen"
        if now.age(visits.days[0]) <= world.engagement_new_days:
            return "new"
        if visits.count == 1:
            return "one_time"
        if now.age(visits.days[-1]) > world.engagement_dormant_days:
            return "dormant"
        return "engaged"

    return {user: segment(user) for user in now.users}


def _gaps(now: AsOf, user: str) -> list[int]:
    """Days between consecutive visit-days of the window."""
    if user not in now.visits:
        return []
    days = [day for day in now.visits[user].days if now.is_in_last(day, now.world.outlook_gap_window_days)]
    return [(after - before).days for before, after in pairwise(days)]


def engagement_outlook(now: AsOf) -> dict[str, dict[str, object]]:
    """Who is about to leave, and who is about to stay; beside it the expected gap and the silence."""
    world = now.world
    engagements = engagement(now)
    everybody = [gap for user in now.visits for gap in _gaps(now, user)]
    mean = Fraction(sum(everybody), len(everybody)) if everybody else Fraction(world.outlook_default_gap_days)
    prior = world.outlook_prior_gaps

    rows: dict[str, dict[str, object]] = {}
    for user in now.users:
        gaps = _gaps(now, user)
        expected = (sum(gaps) + prior * mean) / (len(gaps) + prior)
        days = now.visits[user].days if user in now.visits else []
        silence = now.age(days[-1]) if days else None
        reactions = [event["occurred_at"] for event in now.events_of_messages(user) if is_reaction(event)]
        segment = "steady"
        if engagements[user] == "engaged" and silence is not None and silence >= world.outlook_risky_factor * expected:
            segment = "engaged_risky"
        elif engagements[user] == "new" and (
            len(days) >= world.outlook_promising_visit_days
            or len(now.events(user, "cart_add")) >= world.outlook_promising_cart_adds
            or len(now.events(user, "product_view")) >= world.outlook_promising_product_views
        ):
            segment = "new_promising"
        elif engagements[user] == "dormant" and any(
            now.is_in_last(moment, world.outlook_reaction_days) for moment in reactions
        ):
            segment = "dormant_promising"
        # who never came has no gap to expect
        gap = rounded(expected, 6) if days else None
        rows[user] = {"segment": segment, "expected_gap_days": gap, "silence_days": silence}
    return rows
