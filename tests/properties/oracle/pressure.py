"""contact_pressure and contact_pressure_by_channel (rules, section 7)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from .addresses import usable_addresses
from .as_of import AsOf
from .contacts import is_hard_bounce, is_reaction
from .headroom import is_over_cap, is_over_cap_not_by_us, next_eligible_date, rooms
from .ledger import Counted, contacts_of
from .numbers import decay_factor, rounded
from .policy import dose_arm, pressure_status
from .versions import versions_as_of

SIGNAL_DAYS = 90

PressureRow = dict[str, int | str | date | Decimal | None]


def share(part: Collection[object], whole: Collection[object]) -> Decimal | None:
    """Rounded to 6 decimals; None of nothing."""
    return rounded(Fraction(len(part), len(whole)), 6) if whole else None


def _is_after(now: AsOf, contact: Counted, reacted_at: datetime) -> bool:
    """Whether a contact came after a reaction; one that is only planned has no time, so its date is enough."""
    if contact.message is None:
        return contact.day >= now.world.date_of(reacted_at)
    return contact.message.sent_at > reacted_at


def measures(now: AsOf, own: Sequence[Counted], reacted_at: datetime | None) -> PressureRow:
    """What contacts amount to. Shares are of messages, since nobody has opened what is only planned."""

    def of_last(days: int) -> list[Counted]:
        return [contact for contact in own if now.is_in_last(contact.day, days)]

    pressure = Decimal(0)
    for contact in of_last(90):
        pressure += now.world.channels[contact.channel].weight * decay_factor(now.age(contact.day))
    row: PressureRow = {
        "contacts_1d": len(of_last(1)),
        "contacts_7d": len(of_last(7)),
        "contacts_30d": len(of_last(30)),
        "days_since_last_contact": min(now.age(contact.day) for contact in own) if own else None,
        "decayed_pressure": rounded(pressure, 6),
        "contacts_since_reaction": sum(reacted_at is None or _is_after(now, contact, reacted_at) for contact in own),
    }
    for days in (30, 90):
        messages = [contact.message for contact in of_last(days) if contact.message is not None]
        row[f"open_share_{days}d"] = share([m for m in messages if m.is_opened], messages)
        row[f"click_share_{days}d"] = share([m for m in messages if m.is_clicked], messages)
    return row


def _reacted_at(now: AsOf, user: str) -> datetime | None:
    """When a user last reacted to anything, on any channel, of any class."""
    return max((e["occurred_at"] for e in now.events_of_messages(user) if is_reaction(e)), default=None)


def negative_signals(now: AsOf) -> list[tuple[str, str, str | None]]:
    """Each signal of 90 days as (user, kind, channel); an uninstall has no channel."""
    signals: list[tuple[str, str, str | None]] = []
    for message in now.messages.values():
        for event in now.events_of(message.message_id):
            if not now.is_in_last(event["occurred_at"], SIGNAL_DAYS):
                continue
            if event["event"] == "unsubscribed":
                signals.append((message.user_id, "unsubscribes", message.channel))
            elif event["event"] == "complained":
                signals.append((message.user_id, "complaints", message.channel))
            elif is_hard_bounce(event):
                signals.append((message.user_id, "hard_bounces", message.channel))
    for consent in versions_as_of(now.world, "consents", now.day):
        is_push = now.world.channels[consent["channel"]].address_kind == "device"
        if consent["status"] == "withdrawn" and is_push and now.is_in_last(consent["occurred_at"], SIGNAL_DAYS):
            signals.append((consent["user_id"], "push_offs", consent["channel"]))
    for user in now.users:
        for event in now.events(user, "uninstall"):
            if now.is_in_last(event["timestamp"], SIGNAL_DAYS):
                signals.append((user, "uninstalls", None))
    return signals


def contact_pressure(now: AsOf) -> dict[str, PressureRow]:
    """A row for each known user."""
    signals = now.once(negative_signals)
    statuses = now.once(pressure_status)
    rows = {}
    for user in now.users:
        row = measures(now, contacts_of(now, user), _reacted_at(now, user))
        for kind in ("unsubscribes", "complaints", "push_offs", "uninstalls", "hard_bounces"):
            row[kind] = sum(signal[:2] == (user, kind) for signal in signals)
        total = now.once(rooms)[user, "all"]
        row["policy_segment"] = str(statuses[user]["policy_segment"])
        row["dose_arm"] = dose_arm(now, user)
        row["pressure_status"] = str(statuses[user]["segment"])
        row["headroom"] = total.headroom
        row["cap_use"] = total.cap_use
        row["next_eligible_date"] = next_eligible_date(now, user, "all")
        row["is_over_cap"] = is_over_cap(now, user)
        row["over_cap_not_by_us"] = is_over_cap_not_by_us(now, user)
        rows[user] = row
    return rows


def contact_pressure_by_channel(now: AsOf) -> dict[tuple[str, str], PressureRow]:
    """A row for each known user and channel with a usable address or a contact in 90 days."""
    signals = now.once(negative_signals)
    addresses = now.once(usable_addresses)
    rows = {}
    for user in now.users:
        for name in now.world.channels:
            own = [contact for contact in contacts_of(now, user) if contact.channel == name]
            if (user, name) not in addresses and not any(now.is_in_last(contact.day, 90) for contact in own):
                continue
            row = measures(now, own, _reacted_at(now, user))
            for kind in ("unsubscribes", "complaints", "push_offs", "hard_bounces"):
                row[kind] = signals.count((user, kind, name))
            row["headroom"] = now.once(rooms)[user, name].headroom
            row["cap_use"] = now.once(rooms)[user, name].cap_use
            row["next_eligible_date"] = next_eligible_date(now, user, name)
            rows[user, name] = row
    return rows
