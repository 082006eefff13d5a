"""The oracle: what the tables must hold, computed slowly and plainly from the rules.

Every function takes a world and a date. Rows that an erasure drops are dropped first, whatever the date.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from . import contacts as _contacts
from . import pressure as _pressure
from . import rfm as _rfm
from .buyer_recency import buyer_recency_segment
from .engagement import engagement_segment
from .erasure import without_erased
from .known import known_users
from .orders import orders_by_user
from .visits import visits_by_user
from .world import CHANNELS, TAXONOMY, Channel, EventMeaning, ExchangeRate, Row, World

__all__ = [
    "CHANNELS",
    "TAXONOMY",
    "Channel",
    "EventMeaning",
    "ExchangeRate",
    "Row",
    "World",
    "buyer_recency_as_of",
    "contact_pressure_as_of",
    "contact_pressure_by_channel_as_of",
    "contacts_as_of",
    "cut_points",
    "engagement_as_of",
    "rfm_as_of",
    "rfm_segments_as_of",
    "rfm_stability_as_of",
    "users_as_of",
]


def users_as_of(world: World, day: date) -> set[str]:
    """The known users."""
    return known_users(without_erased(world), day)


def engagement_as_of(world: World, day: date) -> dict[str, str]:
    """The engagement segment of every known user."""
    world = without_erased(world)
    visits = visits_by_user(world, day)
    return {user: engagement_segment(world, visits.get(user), day) for user in known_users(world, day)}


def buyer_recency_as_of(world: World, day: date) -> dict[str, str]:
    """The buyer_recency segment of every known user."""
    world = without_erased(world)
    orders = orders_by_user(world, day)
    return {user: buyer_recency_segment(orders.get(user, []), day) for user in known_users(world, day)}


def cut_points(world: World, day: date) -> _rfm.CutPoints:
    """The cut points that ``day`` is scored with."""
    return _rfm.cut_points(without_erased(world), day)


def rfm_as_of(world: World, day: date) -> dict[str, dict[str, object]]:
    """The RFM row of every user with an order ever."""
    return _rfm.rfm(without_erased(world), day)


def rfm_segments_as_of(world: World, day: date) -> dict[str, str]:
    """The rfm segment of every known user; ``no_orders`` without a row in rfm."""
    world = without_erased(world)
    rows = _rfm.rfm(world, day)
    return {u: str(rows[u]["segment"]) if u in rows else "no_orders" for u in known_users(world, day)}


def rfm_stability_as_of(world: World, day: date) -> dict[str, dict[str, object]]:
    """What rfm_stability says of each measure."""
    return _rfm.rfm_stability(without_erased(world), day)


def contacts_as_of(world: World, day: date) -> dict[str, _contacts.Contact]:
    """The state of every message sent by the end of ``day``."""
    return _contacts.contacts(without_erased(world), day)


def contact_pressure_as_of(world: World, day: date) -> dict[str, dict[str, int | Decimal | None]]:
    """The measures of every known user."""
    return _pressure.contact_pressure(without_erased(world), day)


def contact_pressure_by_channel_as_of(
    world: World, day: date
) -> dict[tuple[str, str], dict[str, int | Decimal | None]]:
    """The measures of every known user and channel with an address or a contact in 90 days."""
    return _pressure.contact_pressure_by_channel(without_erased(world), day)
