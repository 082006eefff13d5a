"""channel_eligibility: on which channels somebody may be contacted on the plan date (rules, section 7)."""

from __future__ import annotations

from datetime import date

from .addresses import permissions
from .as_of import AsOf
from .declared import age_in_years
from .headroom import activity_date, elected, gap_ends, rooms
from .known import first_known_dates
from .versions import versions_as_of

#: Why somebody can't be contacted, in order: the first is the reason.
REASONS = (
    "erased", "do_not_contact", "minor", "inactive_too_long", "no_address", "duplicate_address", "no_consent",
    "suppressed", "blackout", "post_purchase", "min_gap", "channel_cap", "total_cap", "fatigued",
)  # fmt: skip


def latest_reason(reasons: list[str]) -> str:
    """The one latest in the list; where there is no channel at all, there is no address."""
    return max(reasons, key=REASONS.index, default="no_address")


def is_minor(now: AsOf, user: str) -> bool:
    """Whether somebody is known to be too young on the plan date."""
    born: date | None = now.profiles.get(user, {}).get("birth_date")
    return born is not None and age_in_years(born, now.plan_date) < now.world.min_marketing_age


def last_signs(now: AsOf) -> dict[str, date]:
    """By user the date of the last visit, order, reaction or grant; without any, of the first row about the user."""
    grants: dict[str, list[date]] = {}
    for row in versions_as_of(now.world, "consents", now.day):
        if row["status"] == "granted" and now.is_by(row["occurred_at"]):
            grants.setdefault(row["user_id"], []).append(now.world.date_of(row["occurred_at"]))
    first_known = first_known_dates(now.world, now.day)
    signs = {}
    for user in now.users:
        active = activity_date(now, user)
        days = grants.get(user, []) + ([active] if active > date.min else [])
        signs[user] = max(days, default=first_known[user])
    return signs


def is_inactive_too_long(now: AsOf, user: str) -> bool:
    """Whether the last sign of somebody is too old to go on."""
    return now.age(now.once(last_signs)[user]) >= now.world.marketing_retention_days


def is_blacked_out(now: AsOf, user: str, channel: str) -> bool:
    """Whether a quiet date or weekday of the channel and of the user's country is the plan date."""
    country = (now.profiles.get(user, {}).get("country") or "").strip().upper()
    return any(
        (row.day == now.plan_date or row.weekday == now.plan_date.strftime("%A").lower())
        and row.channel in (None, channel)
        and (row.country is None or row.country.strip().upper() == country)
        for row in now.world.blackout_dates
    )


def _cap_reason(now: AsOf, user: str, channel: str) -> str | None:
    used_up = [("channel_cap", row) for row in now.once(rooms)[user, channel].used_up]
    used_up += [("total_cap", row) for row in now.once(rooms)[user, "all"].used_up]
    others = [reason for reason, row in used_up if row.policy_segment != "fatigued"]
    return next(iter(others), "fatigued" if used_up else None)


def _reason(now: AsOf, user: str, channel: str) -> str | None:
    """The first of the reasons that keeps a user from being contacted on a channel; None: there is none."""
    permission = now.once(permissions)[user, channel]
    if user in now.world.do_not_contact:
        return "do_not_contact"
    if is_minor(now, user):
        return "minor"
    if is_inactive_too_long(now, user):
        return "inactive_too_long"
    if permission.address is None:
        return "no_address"
    if now.once(elected)[channel, permission.address][0] != user:
        return "duplicate_address"
    if not permission.has_consent:
        return "no_consent"
    if permission.is_suppressed:
        return "suppressed"
    if is_blacked_out(now, user, channel):
        return "blackout"
    orders = now.orders.get(user, [])
    if any((now.plan_date - order.day).days <= now.world.post_purchase_follow_up_days for order in orders):
        return "post_purchase"
    gap_end = gap_ends(now, user, channel)
    if gap_end is not None and now.plan_date < gap_end:
        return "min_gap"
    return _cap_reason(now, user, channel)


def _service_reason(now: AsOf, user: str, channel: str) -> str | None:
    """Why a transactional message can't go there."""
    permission = now.once(permissions)[user, channel]
    if permission.address is None:
        return "no_address"
    if now.world.channels[channel].transactional_needs_consent and not permission.has_consent:
        return "no_consent"
    return "suppressed" if permission.has_bounced else None


def channel_eligibility(now: AsOf) -> dict[tuple[str, str], dict[str, object]]:
    """A row for each known user and channel."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for user in now.users:
        for channel in now.world.channels:
            reason = _reason(now, user, channel)
            rows[user, channel] = {
                "plan_date": now.plan_date,
                "is_eligible": reason is None,
                "reason": reason,
                "service_reason": _service_reason(now, user, channel),
            }
    return rows
