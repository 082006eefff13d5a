"""A world: the landing rows that a user supplied, and the settings that tables are computed with.

Rows are typed as the raw contract says: times are aware datetimes, numbers are Decimal, dates are dates,
lists are lists, JSON is its text. A column that a row lacks is null. All versions and duplicates are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
CutPolicy = Literal["monthly", "daily", "fixed"]


@dataclass(frozen=True)
class EventMeaning:
    """What the taxonomy says about one event name."""

    event_class: str
    is_visit: bool


@dataclass(frozen=True)
class Channel:
    """What the seed of channels says about one channel."""

    address_kind: str
    weight: Decimal
    counts: bool = True


@dataclass(frozen=True)
class ExchangeRate:
    """One unit of ``currency`` is worth ``rate`` units of the business currency from ``valid_from`` on."""

    currency: str
    valid_from: date
    rate: Decimal


TAXONOMY: dict[str, EventMeaning] = {
    "page": EventMeaning("content", True),
    "screen": EventMeaning("content", True),
    "Product Viewed": EventMeaning("product_view", True),
    "Product Added": EventMeaning("cart_add", True),
    "Order Completed": EventMeaning("purchase", True),
    "Application Opened": EventMeaning("visit", True),
    "Application Installed": EventMeaning("install", False),
    "Application Uninstalled": EventMeaning("uninstall", False),
}

CHANNELS: dict[str, Channel] = {
    "email": Channel("email", Decimal("1")),
    "sms": Channel("phone", Decimal("3")),
    "push": Channel("device", Decimal("2")),
    "web_push": Channel("device", Decimal("1.5")),
    "in_app": Channel("user_id", Decimal("0.5")),
    "whatsapp": Channel("phone", Decimal("3")),
    "telegram": Channel("chat_id", Decimal("2")),
    "viber": Channel("chat_id", Decimal("2")),
    "voice": Channel("phone", Decimal("4")),
}


@dataclass(frozen=True)
class World:
    """The rows of the datasets and the settings."""

    events: Sequence[Row] = ()
    orders: Sequence[Row] = ()
    order_items: Sequence[Row] = ()
    users: Sequence[Row] = ()
    identities: Sequence[Row] = ()
    addresses: Sequence[Row] = ()
    consents: Sequence[Row] = ()
    messages: Sequence[Row] = ()
    message_events: Sequence[Row] = ()
    campaigns: Sequence[Row] = ()
    products: Sequence[Row] = ()
    subscriptions: Sequence[Row] = ()
    erasures: Sequence[Row] = ()

    time_zone: str = "UTC"
    business_currency: str = "EUR"
    exchange_rates: Sequence[ExchangeRate] = ()
    taxonomy: Mapping[str, EventMeaning] = field(default_factory=lambda: TAXONOMY)
    channels: Mapping[str, Channel] = field(default_factory=lambda: CHANNELS)

    visit_gap_minutes: int = 30
    max_users_per_device: int = 1
    link_back_days: int | None = None

    new_days: int = 14
    dormant_days: int = 30
    rfm_window_days: int = 365
    cut_policy: CutPolicy = "monthly"
    fixed_cuts: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)
    min_cut_population: int = 100

    @property
    def zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.time_zone)

    def rows(self, dataset: str) -> Sequence[Row]:
        """The rows of a dataset as they were supplied."""
        rows: Sequence[Row] = getattr(self, dataset)
        return rows

    def date_of(self, moment: datetime) -> date:
        """The date of a moment in the business time zone."""
        return moment.astimezone(self.zone).date()

    def is_by(self, moment: datetime | None, day: date) -> bool:
        """Whether something happened by the end of ``day``; what has no time always did."""
        return moment is None or self.date_of(moment) <= day
