"""The segment family subscription."""

from __future__ import annotations

from .as_of import AsOf
from .versions import versions_as_of
from .world import Row

#: Worst first.
SEGMENTS = ("renewal_risk", "active", "ended", "none")


def _do_visits_fall(now: AsOf, user: str) -> bool:
    """At least 4 visits at ages 28 to 55, and at most half as many at ages 0 to 27."""
    world = now.world
    window = world.subscription_decline_window_days
    ages = [now.age(visit.day) for visit in now.visits[user].visits] if user in now.visits else []
    earlier = sum(window <= age <= 2 * window - 1 for age in ages)
    recent = sum(0 <= age <= window - 1 for age in ages)
    return earlier >= world.subscription_decline_min_visits and recent <= world.subscription_decline_share * earlier


def _state(now: AsOf, row: Row) -> str:
    world = now.world
    if now.is_by(row.get("ended_at")):
        return "ended"
    if row.get("renews_at") is None:
        return "active"
    ahead = -now.age(row["renews_at"])
    is_leaving = row.get("auto_renew") is False or now.is_by(row.get("cancel_requested_at"))
    if is_leaving and 0 <= ahead <= world.subscription_risk_days:
        return "renewal_risk"
    if 0 <= ahead <= world.subscription_decline_ahead_days and _do_visits_fall(now, row["user_id"]):
        return "renewal_risk"
    return "active"


def subscription(now: AsOf) -> dict[str, str]:
    """The worst of a user's subscriptions."""
    states: dict[str, set[str]] = {}
    for row in versions_as_of(now.world, "subscriptions", now.day):
        if now.is_by(row["started_at"]):
            states.setdefault(row["user_id"], set()).add(_state(now, row))
    return {user: next((s for s in SEGMENTS if s in states.get(user, ())), "none") for user in now.users}
