"""What counts as a contact: messages that were sent, and planned ones that no provider has reported yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from .as_of import AsOf
from .contacts import Contact
from .world import Row


@dataclass(frozen=True)
class Counted:
    """A contact that counts for caps; ``message`` is None as long as it is only planned."""

    user_id: str
    channel: str
    day: date
    #: Whether a plan list had carried it.
    is_ours: bool
    message: Contact | None = None


def _is_message_of(planned: Row, message: Contact) -> bool:
    """Whether a message is the planned one, sent on its date or the day after."""
    return (message.user_id, message.campaign_id, message.channel) == (
        planned["user_id"],
        planned["campaign_id"],
        planned["channel"],
    ) and message.contact_date - planned["plan_date"] in (timedelta(0), timedelta(days=1))


def is_logged(now: AsOf, planned: Row) -> bool:
    """Whether a message of a planned contact is there."""
    return any(_is_message_of(planned, message) for message in now.messages_to(planned["user_id"]))


def _counts(now: AsOf, planned: Row) -> bool:
    return planned["message_class"] == "marketing" and now.world.channels[planned["channel"]].counts


def is_pending(now: AsOf, planned: Row) -> bool:
    """Whether a planned contact counts as one though no message of it is there."""
    return (
        _counts(now, planned)
        and 0 <= now.age(planned["plan_date"]) <= now.world.plan_grace_days
        and not is_logged(now, planned)
    )


def ledger(now: AsOf) -> dict[str, list[Counted]]:
    """By user every contact up to the date, pending ones among them."""
    rows: dict[str, list[Counted]] = {}
    planned_for: dict[str, list[Row]] = {}
    for planned in now.world.planned_contacts:
        planned_for.setdefault(planned["user_id"], []).append(planned)
        if is_pending(now, planned):
            pending = Counted(planned["user_id"], planned["channel"], planned["plan_date"], is_ours=True)
            rows.setdefault(pending.user_id, []).append(pending)
    for message in now.messages.values():
        if message.is_contact:
            is_ours = any(_is_message_of(planned, message) for planned in planned_for.get(message.user_id, []))
            counted = Counted(message.user_id, message.channel, message.contact_date, is_ours, message)
            rows.setdefault(message.user_id, []).append(counted)
    return rows


def contacts_of(now: AsOf, user: str) -> list[Counted]:
    """The contacts of one user."""
    return now.once(ledger).get(user, [])


def carried(now: AsOf) -> dict[str, list[Row]]:
    """By user what was carried for the plan date already."""
    rows: dict[str, list[Row]] = {}
    for planned in now.world.planned_contacts:
        if planned["plan_date"] == now.plan_date:
            rows.setdefault(planned["user_id"], []).append(planned)
    return rows


def carried_contacts(now: AsOf, user: str) -> list[Row]:
    """What was carried to a user for the plan date and counts as a contact."""
    return [planned for planned in now.once(carried).get(user, []) if _counts(now, planned)]


def planned_contacts(now: AsOf) -> dict[tuple[date, str, str, str, str], dict[str, object]]:
    """The planned contacts with known users of the last 30 days up to the plan date, with what became of them."""
    known = set(now.users)
    rows: dict[tuple[date, str, str, str, str], dict[str, object]] = {}
    for planned in now.world.planned_contacts:
        key = tuple(planned[name] for name in ("plan_date", "user_id", "campaign_id", "audience", "channel"))
        if -1 <= now.age(planned["plan_date"]) <= 29 and planned["user_id"] in known:
            rows[key] = {"is_logged": is_logged(now, planned), "is_pending": is_pending(now, planned)}
    return rows
