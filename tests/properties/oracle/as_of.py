"""What the families share: who is known as of a date, and what everybody had done by then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

from .contacts import Contact, contacts, message_events_by
from .identity import credited_events
from .known import known_users
from .orders import Order, orders_by_user
from .versions import versions_as_of
from .visits import VisitDays, visits_by_user
from .world import EventMeaning, Row, World

T = TypeVar("T")
#: What the taxonomy does not know.
UNMAPPED = EventMeaning("unmapped", False)


class AsOf:
    """A world without what its erasures drop, looked at from the end of a date."""

    def __init__(self, world: World, day: date) -> None:
        self.world = world
        self.day = day
        self._found: dict[Callable[[AsOf], Any], Any] = {}

    @property
    def plan_date(self) -> date:
        """The date that a plan is made for."""
        return self.day + timedelta(days=1)

    def once(self, rule: Callable[[AsOf], T]) -> T:
        """What a rule says of this date, computed when it is asked for first."""
        if rule not in self._found:
            self._found[rule] = rule(self)
        found: T = self._found[rule]
        return found

    def age(self, happened: date | datetime) -> int:
        """Whole days since the date of something; negative: still to come."""
        day = self.world.date_of(happened) if isinstance(happened, datetime) else happened
        return (self.day - day).days

    def is_in_last(self, happened: date | datetime, days: int) -> bool:
        """Whether its age is 0 to ``days`` - 1."""
        return 0 <= self.age(happened) <= days - 1

    def is_by(self, moment: datetime | None) -> bool:
        """Whether something has a time, and that is over."""
        return moment is not None and self.age(moment) >= 0

    def meaning(self, event: Row) -> EventMeaning:
        """What the taxonomy says of an event."""
        return self.world.taxonomy.get(event["event"], UNMAPPED)

    @cached_property
    def users(self) -> list[str]:
        """The known users."""
        return sorted(known_users(self.world, self.day))

    @cached_property
    def _events(self) -> dict[str, list[Row]]:
        events: dict[str, list[Row]] = {}
        for user, event in credited_events(self.world, self.day):
            events.setdefault(user, []).append(event)
        return events

    def events(self, user: str, *classes: str) -> list[Row]:
        """The events credited to a user, of these classes if any are named."""
        return [e for e in self._events.get(user, []) if not classes or self.meaning(e).event_class in classes]

    @cached_property
    def visits(self) -> dict[str, VisitDays]:
        """The visits of each user who has one."""
        return visits_by_user(self.world, self.day)

    @cached_property
    def orders(self) -> dict[str, list[Order]]:
        """The orders of each user who has one."""
        return orders_by_user(self.world, self.day)

    def last_ordered_at(self, user: str) -> datetime | None:
        """The time of the last order."""
        return max((order.ordered_at for order in self.orders.get(user, [])), default=None)

    @cached_property
    def messages(self) -> dict[str, Contact]:
        """Every message that was sent, by message_id."""
        return contacts(self.world, self.day)

    @cached_property
    def _events_of_messages(self) -> dict[str, list[Row]]:
        return message_events_by(self.world, self.day)

    def messages_to(self, user: str) -> list[Contact]:
        """The messages that were sent to a user, contacts or not."""
        return [message for message in self.messages.values() if message.user_id == user]

    def contacts_with(self, user: str) -> list[Contact]:
        """Those that count as contacts."""
        return [message for message in self.messages_to(user) if message.is_contact]

    def events_of(self, message_id: str) -> list[Row]:
        """What became of a message."""
        return self._events_of_messages.get(message_id, [])

    def events_of_messages(self, user: str) -> list[Row]:
        """What became of the messages that were sent to a user."""
        return [event for message in self.messages_to(user) for event in self.events_of(message.message_id)]

    @cached_property
    def profiles(self) -> dict[str, Row]:
        """What each user's row in users says, of those created by the date or at no known time."""
        rows = versions_as_of(self.world, "users", self.day)
        return {row["user_id"]: row for row in rows if self.world.is_by(row.get("created_at"), self.day)}

    @cached_property
    def product_categories(self) -> dict[str, str | None]:
        """The category of each product."""
        return {row["product_id"]: row.get("category") for row in versions_as_of(self.world, "products", self.day)}

    def category(self, row: Row) -> str | None:
        """The row's own category, else that of its product."""
        if row.get("category") is not None:
            return str(row["category"])
        return self.product_categories.get(row.get("product_id") or "")
