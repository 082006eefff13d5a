"""contact_pressure and contact_pressure_by_channel: the measures that need no policy (rules, section 7)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from .addresses import usable_addresses
from .as_of import AsOf
from .contacts import Contact, contacts, is_hard_bounce, is_reaction, message_events_by
from .identity import credited_events
from .known import known_users
from .numbers import decay_factor, rounded
from .versions import versions_as_of
from .world import World

SIGNAL_DAYS = 90


def _within(day: date, happened: date, days: int) -> bool:
    return 0 <= (day - happened).days <= days - 1


def share(part: Collection[object], whole: Collection[object]) -> Decimal | None:
    """Rounded to 6 decimals; None of nothing."""
    return rounded(Fraction(len(part), len(whole)), 6) if whole else None


def measures(
    world: World, own: Iterable[Contact], reacted_at: datetime | None, day: date
) -> dict[str, int | Decimal | None]:
    """What the contacts in ``own`` amount to on ``day``."""
    own = [contact for contact in own if contact.is_contact]

    def of_last(days: int) -> list[Contact]:
        return [contact for contact in own if _within(day, contact.contact_date, days)]

    pressure = Decimal(0)
    for contact in of_last(90):
        pressure += world.channels[contact.channel].weight * decay_factor((day - contact.contact_date).days)
    row: dict[str, int | Decimal | None] = {
        "contacts_1d": len(of_last(1)),
        "contacts_7d": len(of_last(7)),
        "contacts_30d": len(of_last(30)),
        "days_since_last_contact": (day - max(c.contact_date for c in own)).days if own else None,
        "decayed_pressure": rounded(pressure, 6),
        "contacts_since_reaction": sum(reacted_at is None or c.sent_at > reacted_at for c in own),
    }
    for days in (30, 90):
        row[f"open_share_{days}d"] = share([c for c in of_last(days) if c.is_opened], of_last(days))
        row[f"click_share_{days}d"] = share([c for c in of_last(days) if c.is_clicked], of_last(days))
    return row


def latest_reactions(world: World, messages: dict[str, Contact], day: date) -> dict[str, datetime]:
    """When each user last reacted to anything, on any channel, of any class."""
    latest: dict[str, datetime] = {}
    for message_id, events in message_events_by(world, day).items():
        for event in events:
            if message_id in messages and is_reaction(event):
                user = messages[message_id].user_id
                latest[user] = max(event["occurred_at"], latest.get(user, event["occurred_at"]))
    return latest


def negative_signals(world: World, messages: dict[str, Contact], day: date) -> list[tuple[str, str, str | None]]:
    """Each signal of 90 days as (user, kind, channel); an uninstall has no channel."""
    signals: list[tuple[str, str, str | None]] = []
    for message_id, events in message_events_by(world, day).items():
        message = messages.get(message_id)
        for event in events:
            if message is None or not _within(day, world.date_of(event["occurred_at"]), SIGNAL_DAYS):
                continue
            if event["event"] == "unsubscribed":
                signals.append((message.user_id, "unsubscribes", message.channel))
            elif event["event"] == "complained":
                signals.append((message.user_id, "complaints", message.channel))
            elif is_hard_bounce(event):
                signals.append((message.user_id, "hard_bounces", message.channel))
    for consent in versions_as_of(world, "consents", day):
        is_push = world.channels[consent["channel"]].address_kind == "device"
        in_days = _within(day, world.date_of(consent["occurred_at"]), SIGNAL_DAYS)
        if consent["status"] == "withdrawn" and is_push and in_days:
            signals.append((consent["user_id"], "push_offs", consent["channel"]))
    for user, event in credited_events(world, day):
        meaning = world.taxonomy.get(event["event"])
        is_uninstall = meaning is not None and meaning.event_class == "uninstall"
        if is_uninstall and _within(day, world.date_of(event["timestamp"]), SIGNAL_DAYS):
            signals.append((user, "uninstalls", None))
    return signals


def contact_pressure(world: World, day: date) -> dict[str, dict[str, int | Decimal | None]]:
    """A row for each known user."""
    messages = contacts(world, day)
    reactions = latest_reactions(world, messages, day)
    signals = negative_signals(world, messages, day)
    rows = {}
    for user in known_users(world, day):
        own = [contact for contact in messages.values() if contact.user_id == user]
        rows[user] = measures(world, own, reactions.get(user), day)
        for kind in ("unsubscribes", "complaints", "push_offs", "uninstalls", "hard_bounces"):
            rows[user][kind] = sum(signal[:2] == (user, kind) for signal in signals)
    return rows


def contact_pressure_by_channel(world: World, day: date) -> dict[tuple[str, str], dict[str, int | Decimal | None]]:
    """A row for each known user and channel with a usable address or a contact in 90 days."""
    messages = contacts(world, day)
    reactions = latest_reactions(world, messages, day)
    signals = negative_signals(world, messages, day)
    addresses = usable_addresses(AsOf(world, day))
    rows = {}
    for user in known_users(world, day):
        for name in world.channels:
            own = [c for c in messages.values() if (c.user_id, c.channel) == (user, name)]
            if (user, name) not in addresses and not any(
                c.is_contact and _within(day, c.contact_date, 90) for c in own
            ):
                continue
            rows[user, name] = measures(world, own, reactions.get(user), day)
            for kind in ("unsubscribes", "complaints", "push_offs", "hard_bounces"):
                rows[user, name][kind] = signals.count((user, kind, name))
    return rows
