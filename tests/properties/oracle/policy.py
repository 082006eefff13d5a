"""Fatigue, the policy segment, and the segment family pressure_status (rules, section 7)."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from .as_of import AsOf
from .contacts import is_reaction
from .engagement import engagement
from .ledger import contacts_of
from .numbers import bucket
from .world import PolicyRow


def _last_answer(now: AsOf, user: str) -> datetime | None:
    """The latest of a reaction, the end of a visit and an order."""
    answers = [event["occurred_at"] for event in now.events_of_messages(user) if is_reaction(event)]
    answers += [visit.ends for visit in now.visits[user].visits] if user in now.visits else []
    answers += [order.ordered_at for order in now.orders.get(user, [])]
    return max(answers, default=None)


def is_fatigued(now: AsOf, user: str) -> bool:
    """Whether somebody has complained or unsubscribed, or has let many contacts go by without an answer after them."""
    world = now.world
    if any(
        event["event"] in ("complained", "unsubscribed")
        and now.is_in_last(event["occurred_at"], world.fatigue_signal_days)
        for event in now.events_of_messages(user)
    ):
        return True
    answered_at = _last_answer(now, user)
    unanswered = [
        contact
        for contact in now.contacts_with(user)
        if world.channels[contact.channel].reports_reactions
        and now.is_in_last(contact.contact_date, world.fatigue_contact_days)
        and (answered_at is None or contact.sent_at >= answered_at)
    ]
    return len(unanswered) >= world.fatigue_contacts


def policy_segments(now: AsOf) -> dict[str, str]:
    """Which caps are a user's."""
    engagements = now.once(engagement)

    def segment(user: str) -> str:
        if is_fatigued(now, user):
            return "fatigued"
        orders = now.orders.get(user)
        if orders and (now.plan_date - max(o.day for o in orders)).days <= now.world.post_purchase_follow_up_days:
            return "recent_buyer"
        known = ("dormant", "new", "one_time", "engaged")
        return engagements[user] if engagements[user] in known else "default"

    return {user: segment(user) for user in now.users}


def dose_arm(now: AsOf, user: str) -> str | None:
    """The arm of the dose test; None: none runs on the plan date."""
    rows = [row for row in now.world.dose_arms if row.valid_from <= now.plan_date]
    row = max(rows, key=lambda row: row.valid_from, default=None)
    if row is None or row.share == 0:
        return None
    place = bucket("dose", row.salt, user)
    return "low" if place < Fraction(row.share) else "high" if place < 2 * Fraction(row.share) else "control"


def fitting_caps(now: AsOf, user: str) -> list[PolicyRow]:
    """The rows that fit a user, each as much as the user's arm of the dose test makes of it."""
    segment, arm = now.once(policy_segments)[user], dose_arm(now, user)
    rows = [row for row in now.world.contact_policy if row.policy_segment in ("*", segment)]
    if segment == "fatigued" or arm in (None, "control"):
        return rows
    of_arm = {0: 0, 1: 1} if arm == "low" else {0: 0}
    step = -1 if arm == "low" else 1
    return [row._replace(max_contacts=of_arm.get(row.max_contacts, row.max_contacts + step)) for row in rows]


def _use(now: AsOf, user: str, row: PolicyRow) -> Fraction:
    """The share of a cap that the window which ends with the date has used."""
    contacts = [
        contact
        for contact in contacts_of(now, user)
        if row.channel in ("all", contact.channel) and now.is_in_last(contact.day, row.window_days)
    ]
    return Fraction(len(contacts), row.max_contacts)


def pressure_status(now: AsOf) -> dict[str, dict[str, object]]:
    """How near somebody is to the caps by the user's own contacts, with the policy segment."""
    world = now.world
    rows: dict[str, dict[str, object]] = {}
    for user, policy_segment in now.once(policy_segments).items():
        caps = [row for row in fitting_caps(now, user) if row.max_contacts > 0]
        highest = max((_use(now, user, row) for row in caps), default=Fraction(0))
        rest = [c for c in contacts_of(now, user) if now.is_in_last(c.day, world.pressure_rested_days)]
        if policy_segment == "fatigued":
            status = "fatigued"
        elif highest > 1:
            status = "over_cap"
        elif highest == 1:
            status = "at_cap"
        elif highest >= Fraction(world.pressure_near_cap_share):
            status = "near_cap"
        else:
            status = "healthy" if rest else "rested"
        rows[user] = {"segment": status, "policy_segment": policy_segment}
    return rows
