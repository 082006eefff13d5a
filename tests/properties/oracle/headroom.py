"""Caps and gaps on the plan date: what they leave, and from when on (rules, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from .addresses import usable_addresses
from .as_of import AsOf
from .contacts import is_reaction
from .ledger import Counted, contacts_of
from .policy import fitting_caps
from .world import PolicyRow


def activity_date(now: AsOf, user: str) -> date:
    """The date of the latest visit, order or reaction; of nobody's is earlier than that of who did nothing."""
    days = [now.visits[user].days[-1]] if user in now.visits else []
    days += [order.day for order in now.orders.get(user, [])]
    days += [now.world.date_of(e["occurred_at"]) for e in now.events_of_messages(user) if is_reaction(e)]
    return max(days, default=date.min)


def elected(now: AsOf) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """By channel and usable address who answers for it, and all known users who have it."""
    holders: dict[tuple[str, str], list[str]] = {}
    for (user, channel), address in now.once(usable_addresses).items():
        if user in now.users:
            holders.setdefault((channel, address), []).append(user)
    return {
        key: (min(users, key=lambda user: (-activity_date(now, user).toordinal(), user)), users)
        for key, users in holders.items()
    }


def answers_for(now: AsOf) -> dict[tuple[str, str], list[str]]:
    """By user and channel the others whose contacts on it count for that user: those of the same address."""
    return {
        (first, channel): [user for user in users if user != first]
        for (channel, _), (first, users) in now.once(elected).items()
        if len(users) > 1
    }


def counted_for(now: AsOf, user: str, channel: str = "all") -> list[Counted]:
    """The contacts that count in a user's caps of a channel, or of all together."""
    contacts = list(contacts_of(now, user))
    for (who, where), others in now.once(answers_for).items():
        if who == user:
            contacts += [c for other in others for c in contacts_of(now, other) if c.channel == where]
    return [contact for contact in contacts if channel in ("all", contact.channel)]


def caps(now: AsOf, user: str, channel: str) -> list[PolicyRow]:
    """The rows that fit a user and bind a channel, or the total."""
    rows = [row for row in fitting_caps(now, user) if row.channel == channel]
    return sorted(rows, key=lambda row: (row.window_days, row.max_contacts))


def used(contacts: Sequence[Counted], row: PolicyRow, last_day: date) -> int:
    """How many contacts lie in the window that ends with ``last_day``."""
    return sum(0 <= (last_day - contact.day).days <= row.window_days - 1 for contact in contacts)


@dataclass(frozen=True)
class Room:
    """What the caps of one channel, or of all together, leave a user on the plan date. None: there is no cap."""

    headroom: int | None
    cap_use: str | None
    #: The rows that leave nothing.
    used_up: tuple[PolicyRow, ...]
    #: The first date from the plan date on with headroom, as far as these rows go; None: never.
    free_from: date | None


def room(now: AsOf, user: str, channel: str) -> Room:
    """What the caps of a channel (or ``all``) leave a user."""
    contacts = counted_for(now, user, channel)
    rows = caps(now, user, channel)
    uses = [used(contacts, row, now.plan_date) for row in rows]
    days = sorted((contact.day for contact in contacts), reverse=True)
    free = [now.plan_date]
    for row in rows:
        if 0 < row.max_contacts <= len(days):
            free.append(days[row.max_contacts - 1] + timedelta(days=row.window_days))
    left = [row.max_contacts - use for row, use in zip(rows, uses, strict=True)]
    return Room(
        headroom=max(0, min(left)) if rows else None,
        cap_use="|".join(f"{r.window_days}d {use}/{r.max_contacts}" for r, use in zip(rows, uses, strict=True)) or None,
        used_up=tuple(row for row, rest in zip(rows, left, strict=True) if rest <= 0),
        free_from=None if any(row.max_contacts == 0 for row in rows) else max(free),
    )


def rooms(now: AsOf) -> dict[tuple[str, str], Room]:
    """What the caps leave every known user on every channel and in all."""
    return {(user, channel): room(now, user, channel) for user in now.users for channel in ("all", *now.world.channels)}


def gap_ends(now: AsOf, user: str, channel: str) -> date | None:
    """The first date on which the gap of a channel lets a user be contacted on it; None: at once."""
    days = [contact.day for contact in counted_for(now, user, channel)]
    return max(days) + timedelta(days=now.world.channel_gaps.get(channel, 0)) if days else None


def next_eligible_date(now: AsOf, user: str, channel: str) -> date | None:
    """The first date with headroom in every window of the channel and in all, and no gap; None: never."""
    rows = now.once(rooms)
    free, total = rows[user, channel].free_from, rows[user, "all"].free_from
    if free is None or total is None:
        return None
    gap = None if channel == "all" else gap_ends(now, user, channel)
    return max(free, total, gap or free)


def _exceeded(now: AsOf, user: str, contacts: Sequence[Counted]) -> set[PolicyRow]:
    """The caps of a user that some contacts exceed on the date; a cap of 0 can't be used up."""

    def exceeds(row: PolicyRow) -> bool:
        on_it = [contact for contact in contacts if row.channel in ("all", contact.channel)]
        return used(on_it, row, now.day) > row.max_contacts > 0

    rows = {row for channel in ("all", *now.world.channels) for row in caps(now, user, channel)}
    return {row for row in rows if exceeds(row)}


def is_over_cap(now: AsOf, user: str) -> bool:
    """Whether some cap is exceeded on the date."""
    return bool(_exceeded(now, user, contacts_of(now, user)))


def is_over_cap_not_by_us(now: AsOf, user: str) -> bool:
    """Whether some cap is exceeded on the date, and not by what plan lists carried."""
    own = contacts_of(now, user)
    return bool(_exceeded(now, user, own) - _exceeded(now, user, [contact for contact in own if contact.is_ours]))
