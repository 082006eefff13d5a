"""Messages and what became of them as of a date (fct_contacts)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime

from .versions import deduplicated
from .world import Row, World

LIFTS_SOFT_BOUNCE = ("delivered", "opened", "clicked", "read", "replied")


@dataclass(frozen=True)
class Contact:
    """A message that was sent by the date, with its state as of the date."""

    message_id: str
    user_id: str
    channel: str
    provider: str | None
    campaign_id: str | None
    variant: str | None
    message_class: str
    sent_at: datetime
    contact_date: date
    is_delivered: bool
    is_opened: bool
    is_clicked: bool
    is_bounced: bool
    is_failed: bool
    is_complained: bool
    is_unsubscribed: bool
    is_contact: bool


def message_events_by(world: World, day: date) -> dict[str, list[Row]]:
    """The message events that occurred by the end of ``day``, by message, each once."""
    events: dict[str, list[Row]] = defaultdict(list)
    for row in deduplicated(world, "message_events"):
        if world.is_by(row["occurred_at"], day):
            events[row["message_id"]].append(row)
    return events


def is_human_open(event: Row) -> bool:
    """Opened, unless a machine opened it."""
    return event["event"] == "opened" and not event.get("is_machine_open")


def is_human_click(event: Row) -> bool:
    """Clicked, unless a machine clicked it."""
    return event["event"] == "clicked" and not event.get("is_machine")


def is_reaction(event: Row) -> bool:
    """Something that a person did with a message."""
    return is_human_open(event) or is_human_click(event) or event["event"] in ("read", "replied")


def is_hard_bounce(event: Row) -> bool:
    """A hard bounce."""
    return event["event"] == "bounced" and event.get("bounce_type") == "hard"


def is_bounced(events: list[Row]) -> bool:
    """Bounced hard, or softly without a later sign that it arrived. Without a type a bounce is soft."""
    if any(is_hard_bounce(event) for event in events):
        return True
    soft = [event["occurred_at"] for event in events if event["event"] == "bounced"]
    arrived = [event["occurred_at"] for event in events if event["event"] in LIFTS_SOFT_BOUNCE]
    return bool(soft) and not any(time > max(soft) for time in arrived)


def contacts(world: World, day: date) -> dict[str, Contact]:
    """A row for each message sent by the end of ``day``."""
    events_of = message_events_by(world, day)
    rows = {}
    for message in deduplicated(world, "messages"):
        if not world.is_by(message["sent_at"], day):
            continue
        events = events_of[message["message_id"]]
        names = {event["event"] for event in events}
        message_class = message.get("message_class") or "marketing"
        bounced, failed = is_bounced(events), "failed" in names
        clicked = any(is_human_click(event) for event in events)
        rows[message["message_id"]] = Contact(
            message_id=message["message_id"],
            user_id=message["user_id"],
            channel=message["channel"],
            provider=message.get("provider"),
            campaign_id=message.get("campaign_id"),
            variant=message.get("variant"),
            message_class=message_class,
            sent_at=message["sent_at"],
            contact_date=world.date_of(message["sent_at"]),
            is_delivered="delivered" in names,
            is_opened=clicked or "read" in names or any(is_human_open(event) for event in events),
            is_clicked=clicked or "replied" in names,
            is_bounced=bounced,
            is_failed=failed,
            is_complained="complained" in names,
            is_unsubscribed="unsubscribed" in names,
            is_contact=(
                message_class == "marketing"
                and world.channels[message["channel"]].counts
                and not failed
                and not bounced
            ),
        )
    return rows
