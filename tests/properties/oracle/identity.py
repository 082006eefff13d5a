"""Whose an anonymous event is, as of a date."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

from .versions import deduplicated
from .world import Row, World

#: The time of a link that has none: before everything.
ALWAYS = datetime.min.replace(tzinfo=UTC)


def events_by(world: World, day: date) -> list[Row]:
    """The events dated by the end of ``day``, each once."""
    return [row for row in deduplicated(world, "events") if world.is_by(row["timestamp"], day)]


def users_of_devices(world: World, day: date) -> dict[str, list[tuple[datetime, str]]]:
    """The users of each anonymous id, earliest link first, each with its first link by ``day``."""
    first: dict[str, dict[str, datetime]] = defaultdict(dict)

    def link(anonymous_id: str, user_id: str, time: datetime) -> None:
        users = first[anonymous_id]
        users[user_id] = min(time, users.get(user_id, time))

    for row in world.identities:
        if world.is_by(row.get("linked_at"), day):
            link(row["anonymous_id"], row["user_id"], row.get("linked_at") or ALWAYS)
    for row in events_by(world, day):
        if row.get("anonymous_id") is not None and row.get("user_id") is not None:
            link(row["anonymous_id"], row["user_id"], row["timestamp"])
    return {device: sorted((time, user) for user, time in users.items()) for device, users in first.items()}


def credited_user(world: World, event: Row, devices: dict[str, list[tuple[datetime, str]]]) -> str | None:
    """The user whom an event is credited to: its own, else the device's; None: nobody."""
    own: str | None = event.get("user_id")
    if own is not None:
        return own
    links = devices.get(event["anonymous_id"])
    if not links:
        return None
    time, owner = links[0]
    if len(links) > world.max_users_per_device:
        shared_from, _ = links[world.max_users_per_device]
        if event["timestamp"] >= shared_from:
            return None
    if world.link_back_days is None or time == ALWAYS:
        return owner
    # A link works back for whole days of 24 hours, not to a midnight.
    return owner if event["timestamp"] >= time - timedelta(days=world.link_back_days) else None


def credited_events(world: World, day: date) -> list[tuple[str, Row]]:
    """Every event by ``day`` that somebody is credited with, beside that user."""
    devices = users_of_devices(world, day)
    pairs = ((credited_user(world, event, devices), event) for event in events_by(world, day))
    return [(user, event) for user, event in pairs if user is not None]
