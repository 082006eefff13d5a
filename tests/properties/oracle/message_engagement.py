"""The segment family message_engagement."""

from __future__ import annotations

from .as_of import AsOf
from .contacts import is_human_click, is_human_open
from .versions import versions_as_of


def message_engagement(now: AsOf) -> dict[str, str]:
    """What somebody does with messages of any class."""
    world = now.world
    grants: dict[str, list[int]] = {}
    for row in versions_as_of(world, "consents", now.day):
        if row["status"] == "granted" and now.is_by(row["occurred_at"]):
            grants.setdefault(row["user_id"], []).append(now.age(row["occurred_at"]))

    def segment(user: str) -> str:
        if not now.messages_to(user):
            return "never_contacted"
        if user in grants and max(grants[user]) <= world.message_new_subscriber_days:
            return "new_subscriber"
        events = now.events_of_messages(user)
        clicks = [e["occurred_at"] for e in events if is_human_click(e) or e["event"] == "replied"]
        if any(now.is_in_last(moment, world.message_click_days) for moment in clicks):
            return "clicker"
        opens = [e["occurred_at"] for e in events if is_human_open(e) or is_human_click(e) or e["event"] == "read"]
        if any(now.is_in_last(moment, world.message_open_days) for moment in opens):
            return "reader"
        days = world.message_passive_days
        contacts = [c for c in now.contacts_with(user) if now.is_in_last(c.contact_date, days)]
        if len(contacts) >= world.message_passive_contacts and not any(now.is_in_last(m, days) for m in opens):
            return "passive"
        return "quiet"

    return {user: segment(user) for user in now.users}
