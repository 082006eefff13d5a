"""Small random worlds around the boundaries of the rules, and their landing files."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from orchestration.landing.contract import DATASETS
from tests.properties import oracle
from tests.properties.oracle import (
    Audience,
    Blackout,
    CampaignSetting,
    CategorySetting,
    DoseArms,
    ExchangeRate,
    PolicyRow,
    Row,
    UniversalHoldout,
    World,
)

T = TypeVar("T")
Rows = list[dict[str, Any]]
#: What one delivery of files holds: for each dataset its rows.
Batch = dict[str, list[Row]]

TIME_ZONES = ("UTC", "Europe/Paris", "America/New_York")
#: Ordinary dates, month ends, a leap day, and both clock changes of both zones.
DATES = tuple(
    date.fromisoformat(text)
    for text in (
        "2024-06-15", "2024-03-01", "2024-02-29", "2024-01-31", "2024-12-31", "2024-03-31", "2024-04-01",
        "2024-10-27", "2024-10-28", "2024-03-10", "2024-03-11", "2024-11-03", "2024-11-04",
    )
)  # fmt: skip
#: Ages of dates on both sides of every threshold; negative ones lie after the drawn as_of.
AGES = (0, 1, 2, 6, 7, 8, 13, 14, 15, 29, 30, 31, 32, 60, 89, 90, 91, 180, 181, 364, 365, 366, 400, -1, -2)
RECENT_AGES = (0, 1, 2, 6, 7, 13, 14, 15, 29, 30, 31, -1)
CONTACT_AGES = (0, 1, 2, 5, 6, 7, 13, 28, 29, 30, 40, 58, 59, 59, 60)
CLOCK_TIMES = tuple(
    time.fromisoformat(text)
    for text in (
        "12:00:00",
        "00:00:00",
        "00:00:00.000001",
        "00:10:00",
        "02:30:00",
        "23:40:00",
        "23:59:59.999999",
    )
)
#: Seconds between the events of one run; 1800 is the longest gap inside a visit.
GAPS = (0, 60, 1799, 1800, 1801, 600, 43_200)
#: Seconds from sending to an event of the message: at once, hours, and reports that come days late.
DELAYS = (1, 60, 3_600, 86_399, 86_400, 3 * 86_400, 8 * 86_400, 40 * 86_400, 95 * 86_400)
EVENT_NAMES = (
    "page", "Application Opened", "screen", "Application Installed", "Application Uninstalled", "Unheard Of",
    "Never Mapped", "Product Viewed", "Product Viewed", "Product List Viewed", "Product Added", "Product Added",
    "Product Removed", "Checkout Started", "Order Completed", "Products Searched", "Product Added to Wishlist",
)  # fmt: skip
SESSIONS = (None, None, "s1", "s2")
DEVICES = ("a1", "a2")
PRODUCTS = (None, "p1", "p2", "p3")
CATEGORIES = (None, None, "books", "garden", "tools")
AMOUNTS = tuple(Decimal(text) for text in ("10", "10.00", "25.5", "0", "99.99", "10.005", "33.333333", "0.01"))
CURRENCIES = (None, None, None, "EUR", "USD", "GBP", "XXX")
RATES = ("0.9", "1.1", "0.915", "1.005")
CHANNEL_NAMES = ("email", "email", "push", "sms", "in_app", "web_push", "telegram")
#: The built-in audiences, whose names are campaigns; category_news has one campaign a category.
AUDIENCES = (
    "retention_day_15", "retention_day_30", "reactivate_dormant", "second_visit", "abandoned_cart", "abandoned_browse",
    "hot_lead_offer", "post_purchase_care", "next_cycle", "win_back_renewal", "win_back_lapsed", "champions_thanks",
    "category_news", "ladder_content",
)  # fmt: skip
NEWS = {"books": "news_books", "garden": "news_garden"}
CAMPAIGNS = (*AUDIENCES, *NEWS.values())
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
POLICY_SEGMENTS = ("*", "fatigued", "recent_buyer", "dormant", "new", "one_time", "engaged", "default")


@dataclass(frozen=True)
class Case:
    """A world, and a date to look at it from."""

    world: World
    as_of: date


@dataclass
class _Maker:
    """What one world is made with, and the rows made so far."""

    random: random.Random
    zone: ZoneInfo
    as_of: date
    users: tuple[str, ...]
    prefix: str
    size: int
    #: Erased rows lose what they won or linked, so worlds with erasures share neither ids nor devices.
    has_erasures: bool
    rows: dict[str, Rows] = field(default_factory=lambda: {name: [] for name in DATASETS})
    planned: Rows = field(default_factory=list)
    #: Users of whom the profile must have an address.
    reachable: set[str] = field(default_factory=set)

    def one(self, values: Sequence[T]) -> T:
        return self.random.choice(values)

    def chance(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def some(self, least: int, most: int) -> range:
        return range(self.random.randint(least, most))

    def moment(self, ages: Sequence[int] = AGES) -> datetime:
        """A moment on a date near a threshold, often near midnight of the business time zone."""
        day = self.as_of - timedelta(days=self.one(ages))
        return datetime.combine(day, self.one(CLOCK_TIMES), self.zone).astimezone(UTC)

    def user(self) -> str:
        return self.one(self.users)

    def user_of(self, device: str) -> str:
        """A user to link the device to."""
        if not self.has_erasures:
            return self.user()
        return self.users[DEVICES.index(device.removeprefix(self.prefix)) % len(self.users)]

    def device(self) -> str:
        return self.prefix + self.one(DEVICES)

    def device_of(self, user: str) -> str | None:
        """A device that may be linked to the user."""
        devices = [self.prefix + name for name in DEVICES]
        devices = [d for d in devices if not self.has_erasures or self.user_of(d) == user]
        return self.one(devices) if devices else None

    def product(self) -> str | None:
        name = self.one(PRODUCTS)
        return None if name is None else self.prefix + name

    def maybe(self, value: Callable[[], Any], one_in: int = 2) -> Any:
        """A value, or null once in ``one_in``."""
        return None if self.chance(one_in) else value()

    def later(self, moment: datetime) -> datetime:
        """The same moment, or one after it by a while that may cross midnight or a threshold."""
        return moment + timedelta(seconds=self.one((0, 1, 3_600, 86_400, 15 * 86_400, 31 * 86_400)))

    def add(self, dataset: str, letter: str, row: Mapping[str, Any], key: str | None = None) -> dict[str, Any]:
        """Keep a row under a new id."""
        rows = self.rows[dataset]
        new = {key or f"{dataset.removesuffix('s')}_id": f"{self.prefix}{letter}{len(rows)}", **row}
        rows.append(new)
        return new

    def add_event(self, user: str, name: str, moment: datetime, **values: Any) -> dict[str, Any]:
        row = {"user_id": user, "event": name, "timestamp": moment, **values}
        if name.startswith(("Product", "Checkout")):
            row = {"product_id": self.product(), "category": self.one(CATEGORIES), **row}
        return self.add("events", "e", row, "event_id")

    def add_order(self, user: str, ordered_at: datetime, **values: Any) -> dict[str, Any]:
        row = {"user_id": user, "ordered_at": ordered_at, "gross_amount": self.one(AMOUNTS), **values}
        return self.add("orders", "o", row, "order_id")

    def add_message(self, user: str, sent_at: datetime, **values: Any) -> dict[str, Any]:
        row = {"user_id": user, "channel": self.one(CHANNEL_NAMES), "sent_at": sent_at, **values}
        return self.add("messages", "m", row, "message_id")

    def add_message_event(self, message: Row, name: str, occurred_at: datetime, **values: Any) -> None:
        row = {"message_id": message["message_id"], "event": name, "occurred_at": occurred_at, **values}
        self.add("message_events", "x", row, "event_id")


def _random_orders(make: _Maker) -> None:
    rows = make.rows["orders"]
    for _ in make.some(0, make.size):
        ordered_at = rows[-1]["ordered_at"] if rows and make.chance(5) else make.moment()
        gross = make.one(AMOUNTS)
        make.add_order(
            make.user(),
            ordered_at,
            status=make.one(("completed", None, "placed", "completed", "cancelled", "refunded")),
            gross_amount=gross,
            discount_amount=make.one((None, None, Decimal("1"), gross)),
            refunded_amount=make.one((None, None, None, Decimal("0"), Decimal("2.5"), gross)),
            tax_amount=make.one((None, None, Decimal("1.9"))),
            shipping_amount=make.one((None, None, Decimal("4.95"))),
            currency=make.one(CURRENCIES),
            updated_at=make.maybe(lambda at=ordered_at: make.later(at)),  # type: ignore[misc]
        )


def _order_versions(make: _Maker) -> None:
    """Refunds, cancellations, other dates, users or amounts; known later, or at an equal time."""
    for row in list(make.rows["orders"]):
        for _ in make.some(0, 2) if make.chance(2) else ():
            known = row.get("updated_at") or row["ordered_at"]
            row = {**row, "updated_at": make.maybe(lambda at=known: make.later(at), one_in=6)}  # type: ignore[misc]
            change = make.random.choice((0, 1, 2, 5, 6) if make.has_erasures else range(7))
            if change == 0:
                row["refunded_amount"] = row["gross_amount"] - (row.get("discount_amount") or 0)
            elif change == 1:
                row["refunded_amount"] = Decimal("2.5")
            elif change == 2:
                row["status"] = make.one(("refunded", "cancelled", "completed", "placed"))
            elif change == 3:
                row["ordered_at"] = make.moment()
            elif change == 4:
                row["user_id"] = make.user()
            elif change == 5:
                row["gross_amount"] = make.one(AMOUNTS)
            else:
                row["coupon"] = "SPRING"
            make.rows["orders"].append(row)


def _order_items(make: _Maker) -> None:
    """Lines of some orders, some of them written anew, and a line without its order."""
    orders = sorted({row["order_id"] for row in make.rows["orders"]})
    for order_id in [*orders, f"{make.prefix}nowhere"]:
        for number in make.some(0, 3):
            line = {
                "order_id": order_id,
                "line_number": number + 1,
                "product_id": make.product() or f"{make.prefix}p9",
                "category": make.one(CATEGORIES),
                "quantity": make.one((1, 2)),
                "unit_price": Decimal("5"),
            }
            make.rows["order_items"].append(line)
            if make.chance(8):
                again = {**line, "category": make.one(CATEGORIES), "updated_at": make.moment((0, 1, 2))}
                make.rows["order_items"].append(again)


def _products(make: _Maker) -> None:
    for name in PRODUCTS:
        if name is None or make.chance(4):
            continue
        row = {"product_id": make.prefix + name, "name": name, "category": make.one(CATEGORIES)}
        make.rows["products"].append(row)
        for _ in make.some(0, 2) if make.chance(2) else ():
            again = {**row, "category": make.one(CATEGORIES), "updated_at": make.moment((-1, 0, 1, 7, 30))}
            make.rows["products"].append(again)


def _births(day: date) -> list[date]:
    """Birth dates at the edges of bands, on leap days, to come, and of too long ago."""
    births = [date(2000, 2, 29), date(2004, 2, 29), day, day + timedelta(days=1)]
    for years in (16, 18, 25, 35, 45, 55, 65, 121):
        birthday = date(day.year - years, day.month, 28 if (day.month, day.day) == (2, 29) else day.day)
        births += [birthday + timedelta(days=days) for days in (-1, 0, 1, 2)[: 4 if years < 25 else 3]]
    return births


def _profile(make: _Maker, user: str) -> dict[str, Any]:
    # what users share, they share within their world
    mails = (f"{user}@example.org", f"{make.prefix}shared@example.org", f"{make.prefix}Shared@Example.org", "no mail")
    phone = f"+336123{int(''.join(filter(str.isdigit, make.prefix)) or 0):03d}7"
    return {
        "email": make.one(mails[:3]) if user in make.reachable else make.one((None, *mails)),
        "phone": make.one((None, f"{phone}8", f"{phone}9", "12")),
        "birth_date": make.one((None, make.one(_births(make.as_of)))),
        "gender": make.one((None, "female", "female", "male", "Female")),
        "country": make.one((None, "fr", "FR", "de", "Atlantis")),
        "installed_at": make.maybe(lambda: make.moment((13, 14, 15, 16, 17, 29, 31, 32)), one_in=4),
        "region": make.one((None, "north", "south")),
        "city": make.one((None, "Paris", "Lyon", "other", "Berlin", "Nice", "Brest", "Metz")),
        "income_band": make.one((None, "low", "high")),
        "education": make.one((None, "school", "unknown")),
        "interests": make.one((None, [], ["garden", "books"], ["tools", "tools"], ["books"], ["chess", "books"])),
        "values": make.one((None, ["green"], ["cheap", "green"], ["fair"])),
    }


def _users(make: _Maker) -> None:
    for user in make.users:
        if make.chance(5):
            continue
        row = {"user_id": user, **_profile(make, user), "created_at": make.maybe(make.moment)}
        make.rows["users"].append(row)
        for _ in make.some(1, 2) if make.chance(3) else ():
            known = row["created_at"] or make.moment()
            changed = {name: value for name, value in _profile(make, user).items() if make.chance(3)}
            changed["updated_at"] = make.maybe(lambda at=known: make.later(at), one_in=4)  # type: ignore[misc]
            make.rows["users"].append({**row, **changed})


def _random_events(make: _Maker) -> None:
    """Runs of events of a user or a device, with gaps around 30 minutes, some of them across midnight."""
    for _ in make.some(0, make.size):
        owner = {"user_id": None, "anonymous_id": make.device()} if make.chance(3) else {"user_id": make.user()}
        session = make.one(SESSIONS)
        moment = make.moment(RECENT_AGES if make.chance(2) else AGES)
        for _ in make.some(1, 4):
            name = make.one(EVENT_NAMES) if make.chance(2) else "page"
            row = make.add_event(owner["user_id"] or "", name, moment, **owner)
            row["received_at"] = make.maybe(lambda at=moment: make.later(at))  # type: ignore[misc]
            row["session_id"] = make.one(SESSIONS) if make.chance(4) else session
            if owner["user_id"] is not None and make.chance(6):
                row["anonymous_id"] = make.device_of(owner["user_id"])
            if make.chance(6):
                row["properties"] = '{"b":1,"a":"é"}'
            moment += timedelta(seconds=make.one(GAPS))


def _changed_event(make: _Maker, row: Row) -> dict[str, Any]:
    """What another row under the same event_id says instead."""
    change = make.random.randrange(3)
    if change == 0:
        return {"category": "books"}
    return {"user_id": make.user()} if change == 1 else {"timestamp": make.later(row["timestamp"])}


def _other_contents(make: _Maker, dataset: str, change: Callable[[Row], dict[str, Any]]) -> None:
    """Rows under ids that are taken, with other content; updated_at and received_at decide which wins."""
    rows = make.rows[dataset]
    for _ in make.some(0, 2) if rows else ():
        row = make.one(rows)
        other = {**row, **change(row), "updated_at": make.maybe(lambda: make.moment((0, 1)), one_in=3)}
        if row.get("received_at") is not None:
            # The landing contract refuses an event from more than a day after its receipt.
            other["received_at"] = make.later(max(row["received_at"], other["timestamp"]))
        rows.append(other)


def _identities(make: _Maker) -> None:
    """Links at, before and after events of the world, without a time, and to several users of one device."""
    moments = [row["timestamp"] for row in make.rows["events"]]
    for _ in make.some(0, 3):
        device = make.device()
        row: dict[str, Any] = {"anonymous_id": device, "user_id": make.user_of(device)}
        if not make.chance(5):
            near = moments and not make.chance(3)
            row["linked_at"] = make.later(make.one(moments)) if near else make.moment(RECENT_AGES)
        make.rows["identities"].append(row)


def _random_messages(make: _Maker) -> None:
    for _ in make.some(0, make.size):
        message = make.add_message(
            make.user(),
            make.moment(),
            campaign_id=make.one((None, "spring", make.one(CAMPAIGNS))),
            message_class=make.one((None, "marketing", "marketing", "transactional", "service")),
        )
        for _ in make.some(0, 3):
            name = make.one(_MESSAGE_EVENTS)
            make.add_message_event(
                message,
                name,
                message["sent_at"] + timedelta(seconds=make.one(DELAYS)),
                is_machine=make.one((None, True, False)) if name == "clicked" else None,
                is_machine_open=make.one((None, True, False)) if name == "opened" else None,
                bounce_type=make.one((None, "soft", "soft", "hard")) if name == "bounced" else None,
            )
    if make.chance(4):
        make.add_message_event({"message_id": f"{make.prefix}nowhere"}, "opened", make.moment())


_MESSAGE_EVENTS = (
    "delivered", "delivered", "opened", "opened", "clicked", "bounced", "bounced", "read", "replied", "failed",
    "complained", "unsubscribed",
)  # fmt: skip


def _consents(make: _Maker) -> None:
    rows = make.rows["consents"]
    for user in make.users:
        for _ in make.some(0, 3):
            row: dict[str, Any] = {
                "user_id": user,
                "channel": make.one(CHANNEL_NAMES),
                "status": make.one(("withdrawn", "granted", "granted")),
                "occurred_at": make.moment((0, 7, 14, 15, 31, 90, 400, -1)),
            }
            rows.append(row)
            if make.chance(6):
                rows.append({**row, "source": "centre", "updated_at": make.later(row["occurred_at"])})


def _addresses(make: _Maker) -> None:
    """At most one address a user and channel, in any number of versions; two users may share one."""
    for user in make.users:
        for channel in ("push", "web_push", "telegram"):
            if make.chance(2) or any((r["user_id"], r["channel"]) == (user, channel) for r in make.rows["addresses"]):
                continue
            address, updated_at = make.one((f"{user}-token", f"{make.prefix}token")), make.moment()
            for _ in make.some(1, 2):
                row = {"user_id": user, "channel": channel, "address": address, "updated_at": updated_at}
                make.rows["addresses"].append({**row, "status": make.one((None, "active", "active", "invalid"))})
                updated_at = make.later(updated_at)


def _habit(make: _Maker, user: str) -> None:
    """Visits at a steady gap that ended a while ago."""
    gap, age = make.one((1, 1, 2, 3, 7, 14, 30)), make.one((0, 1, 2, 3, 4, 6, 14, 15, 28, 30, 31))
    for number in make.some(2, 6):
        at = make.moment((age + gap * number,))
        make.add_event(user, make.one(("page", "page", "Product Viewed")), at)


def _session_of_today(make: _Maker, user: str) -> None:
    """Things begun on the date, taken out again or bought."""
    moments = [make.moment((0,)) for _ in range(3)]
    names = ("Products Searched", "Product Viewed", "Product Added", "Product Removed", "Checkout Started")
    product = make.product()
    for _ in make.some(1, 4):
        row = make.add_event(user, make.one(names), make.one(moments))
        if "product_id" in row and make.chance(2):
            row["product_id"] = product
    if make.chance(3):
        make.add_event(user, "Order Completed", make.one(moments))
    if make.chance(3):
        make.add_order(user, make.one(moments))


def _lead(make: _Maker, user: str) -> None:
    """Signals whose scores lie at and around the thresholds, some before and some after an order."""
    if make.chance(3):
        for age in (0, 3, make.one((5, 6, 7))):
            make.add_event(user, "Product Viewed", make.moment((age,)))
    ages: tuple[int, ...] = make.one(((0,), (0, 1, 2, 6), (4, 5, 6, 7), (28, 29, 30), (7, 14)))
    name = make.one(("Product Viewed", "Product Added", "Checkout Started"))
    rows = [make.add_event(user, make.one((name, name, "page")), make.moment(ages)) for _ in make.some(1, 4)]
    if make.chance(3):
        make.add_order(user, make.one(rows)["timestamp"])


def _interest(make: _Maker, user: str) -> None:
    """Signals of one or two categories, near the window's edge."""
    categories = make.one((("books",), ("books", "garden"), ("books", "garden", "tools")))
    ages = make.one(((0, 1, 7), (88, 89, 90)))
    for _ in make.some(2, 5):
        name = make.one(("Product Viewed", "Product List Viewed", "Product Added"))
        make.add_event(user, name, make.moment(ages), category=make.one(categories))


def _buyer(make: _Maker, user: str) -> None:
    """Orders on both sides of the thresholds."""
    ages = make.one(((0, 7, 8), (29, 30, 31), (89, 90, 91), (179, 180, 181), (363, 364, 365, 366)))
    for _ in make.some(1, 5):
        make.add_order(user, make.moment((*ages, make.one(ages))), currency=make.one(CURRENCIES))


def _subscriber(make: _Maker, user: str) -> None:
    """A subscription that may be about to end, and visits that fall or don't."""

    def content() -> dict[str, Any]:
        return {
            "renews_at": make.maybe(lambda: make.moment((1, 0, 0, -29, -30, -31, -59, -60, -61)), one_in=8),
            "auto_renew": make.one((None, True, True, False)),
            "cancel_requested_at": make.one((None, None, make.moment((-1, 0, 0, 1)))),
            "ended_at": make.one((None, None, None, make.moment((-1, 0, 0, 1)))),
        }

    started_at = make.moment((-1, 0, 1, 30, 30, 400))
    row = make.add("subscriptions", "c", {"user_id": user, "started_at": started_at, **content()})
    if make.chance(3):
        again = {**row, **content(), "updated_at": make.later(started_at)}
        make.rows["subscriptions"].append(again)
    if make.chance(2):
        for age in (28, 40, 55, make.one((27, 28, 55, 56)))[make.one((0, 0, 0, 1)) :]:
            make.add_event(user, "page", make.moment((age,)))
        for age in make.random.sample((0, 13, 27), make.one((0, 2, 2, 3))):
            make.add_event(user, "page", make.moment((age,)))


def _contacted(make: _Maker, user: str) -> None:
    """About as many messages as make somebody tired, and perhaps an answer at, before or after one of them."""
    channels = make.one((("email",), ("email", "push"), ("email", "sms", "in_app")))
    ages = make.one((CONTACT_AGES, CONTACT_AGES, (0, 1, 6, 7), (31, 59, 60)))
    number = make.one((4, 5, 6, 9, 10, 10, 11, 12))
    messages = [make.add_message(user, make.moment(ages), channel=make.one(channels)) for _ in range(number)]
    if make.chance(2):
        oldest = min(messages, key=lambda message: message["sent_at"])
        asked = make.one((oldest, make.one(messages)))
        at = asked["sent_at"] + timedelta(seconds=make.one((0, 0, 1, 3_600)))
        answer = make.random.randrange(3)
        if answer == 0:
            name = make.one(("read", "opened", "replied", "clicked", "complained", "unsubscribed"))
            make.add_message_event(make.one(messages), name, max(at, asked["sent_at"]))
        elif answer == 1:
            make.add_event(user, "page", at)
        else:
            make.add_order(user, at)
    if make.chance(3):
        at = make.moment((29, 30, 58, 59, 59, 60))
        old = make.add_message(user, at, channel=make.one(channels))
        make.add_message_event(old, make.one(("opened", "clicked", "replied")), at + timedelta(seconds=1))
    if make.chance(4):
        make.add_message_event(make.one(messages), "bounced", messages[-1]["sent_at"], bounce_type="hard")


def _sleeper(make: _Maker, user: str) -> None:
    """Visits long ago, and a reaction to a message just now."""
    for age in (40, make.one((31, 30, 32))):
        make.add_event(user, "page", make.moment((age,)))
    message = make.add_message(user, make.moment((7, 8, 9)))
    make.add_message_event(message, make.one(("read", "opened", "clicked")), make.moment((0, 5, 6, 7)))


def _friend(make: _Maker, user: str) -> None:
    """Consent on most channels, and perhaps a no to one of them."""
    for channel in sorted({*CHANNEL_NAMES, "whatsapp"}):
        if not make.chance(4):
            row = {"user_id": user, "channel": channel, "occurred_at": make.moment((13, 14, 15, 90))}
            make.rows["consents"].append({**row, "status": "granted"})
            if make.chance(8):
                make.rows["consents"].append({**row, "status": "withdrawn"})
    if make.chance(2):
        message = make.add_message(user, make.moment((1, 2, 14, 15, 91)))
        name = make.one(("complained", "unsubscribed", "bounced", "bounced"))
        kind = "hard" if name == "bounced" else None
        at = make.later(message["sent_at"])
        make.add_message_event(message, name, at, bounce_type=kind)
        if make.chance(2):
            row = {"user_id": user, "channel": message["channel"], "status": "granted"}
            make.rows["consents"].append({**row, "occurred_at": at + timedelta(seconds=make.one((0, 0, 1)))})
    if make.chance(3):
        row = {"user_id": user, "event": "Application Uninstalled"}
        make.add("events", "e", {**row, "timestamp": make.moment((0, 1, 7, 30, -1))}, "event_id")


def _grant(make: _Maker, user: str, channels: Sequence[str], ages: Sequence[int]) -> None:
    for channel in channels:
        row = {"user_id": user, "channel": channel, "status": "granted", "occurred_at": make.moment(ages)}
        make.rows["consents"].append(row)


def _candidate(make: _Maker, user: str) -> None:
    """Somebody who can be reached, and whom one or more audiences want."""
    make.reachable.add(user)
    _grant(make, user, ("email", make.one(("email", "push", "sms")), make.one(("push", "telegram"))), (7, 29, 30, 90))
    if make.chance(2):
        row = {"user_id": user, "channel": "push", "address": f"{user}-token", "updated_at": make.moment((60, 400))}
        if not any((r["user_id"], r["channel"]) == (user, "push") for r in make.rows["addresses"]):
            make.rows["addresses"].append(row)
    if make.chance(4):
        _changes_of_mind(make, user)
    for _ in make.some(0, 2):
        make.add_message(user, make.moment((0, 1, 2, 5, 6, 12)), channel=make.one(("email", "push", "in_app")))
    if make.chance(6):
        tired = make.add_message(user, make.moment((20, 40)), channel="sms")
        make.add_message_event(tired, "unsubscribed", tired["sent_at"] + timedelta(hours=1))
    for _ in make.some(1, 4):
        kind = make.random.randrange(6)
        if kind == 0:
            _session_of_today(make, user)
        elif kind == 1:
            make.add_event(user, make.one(("page", "Products Searched")), make.moment((0, 1, 7, 8, 29, 30)))
        elif kind == 2:
            name = make.one(("page", "Product Viewed", "Application Installed"))
            make.add_event(user, name, make.moment((13, 14, 15, 16, 17, 28, 29, 30, 31, 32)))
        elif kind == 3:
            for age in (45, make.one((30, 31, 32))):
                make.add_event(user, "page", make.moment((age,)))
        elif kind == 4:
            order = make.add_order(user, make.moment((0, 8, 13, 14, 28, 29, 30, 31, 31, 181, 181, 200)))
            line = {"product_id": make.product() or f"{make.prefix}p9", "category": make.one(CATEGORIES)}
            line |= {"order_id": order["order_id"], "line_number": 9, "quantity": 1, "unit_price": Decimal("5")}
            make.rows["order_items"].append(line)
        else:
            _lead(make, user)


def _changes_of_mind(make: _Maker, user: str) -> None:
    """Consent taken back, by a withdrawal, an unsubscribe or a complaint, and perhaps given again, later or at once."""
    at = make.moment((1, 6))
    row = {"user_id": user, "channel": "email", "status": "withdrawn", "occurred_at": at}
    how = make.one(("withdrawn", "withdrawn", "unsubscribed", "complained"))
    if how == "withdrawn":
        make.rows["consents"].append(row)
    else:
        make.add_message_event(make.add_message(user, at - timedelta(hours=1), channel="email"), how, at)
    if not make.chance(3):
        again = at + timedelta(seconds=make.one((0, 1, 86_400)))
        make.rows["consents"].append({**row, "status": "granted", "occurred_at": again})


def _responsive(make: _Maker, user: str) -> None:
    """Contacts on two channels, about as many as make a click share, with clicks on some; in one campaign or many."""
    ages = make.one(((2, 8, 31, 60, 89), (31, 60, 88, 89, 90)))
    for channel in ("email", make.one(("push", "in_app", "email"))):
        for _ in make.some(1, 4):
            message = make.add_message(
                user, make.moment(ages), channel=channel, campaign_id=make.one((None, *CAMPAIGNS))
            )
            if make.chance(3):
                name = make.one(("clicked", "clicked", "opened", "replied"))
                make.add_message_event(message, name, message["sent_at"] + timedelta(seconds=make.one(DELAYS[:5])))


def _repeated(make: _Maker, user: str) -> None:
    """Messages of campaigns that audiences would send again, around the days after which they may."""
    for campaign in make.random.sample(CAMPAIGNS, 3):
        for _ in make.some(1, 2):
            make.add_message(
                user,
                make.moment((0, 6, 7, 13, 14, 29, 30, 31)),
                channel=make.one(("email", "push", "in_app")),
                campaign_id=campaign,
                message_class=make.one((None, "marketing", "transactional")),
            )


def _planned(make: _Maker, user: str) -> None:
    """What plan lists of the last days carried, and messages that are those, or almost."""
    taken = set()
    for _ in make.some(1, 5):
        plan_date = make.as_of + timedelta(days=make.one((1, 1, 1, 0, 0, -1, -2, -3, -4, -29)))
        campaign, channel = make.one(CAMPAIGNS), make.one(("email", "email", "push", "in_app", "sms"))
        audience = "category_news" if campaign in NEWS.values() else campaign
        if (plan_date, campaign) in taken:
            continue
        taken.add((plan_date, campaign))
        is_care = campaign == "post_purchase_care"
        row = {"plan_date": plan_date, "user_id": user, "campaign_id": campaign, "audience": audience}
        row |= {"channel": channel, "message_class": "transactional" if is_care else "marketing"}
        make.planned.append({**row, "variant": None})
        if make.chance(2):
            days = (plan_date - make.as_of).days + make.one((0, 0, 1, 2, -1))
            make.add_message(
                user,
                make.moment((-days,)),
                channel=make.one((channel, channel, channel, "email", "push")),
                campaign_id=make.one((campaign, campaign, campaign, "spring", None)),
                message_class=row["message_class"],
            )


_STORIES = (
    _habit, _session_of_today, _lead, _interest, _buyer, _subscriber, _subscriber, _contacted, _contacted,
    _sleeper, _friend, _friend, _candidate, _candidate, _candidate, _candidate, _responsive, _repeated, _planned,
    _planned,
)  # fmt: skip


@dataclass(frozen=True)
class Policy:
    """The rows of some seeds, and of campaigns, which many worlds share."""

    exchange_rates: tuple[ExchangeRate, ...]
    contact_policy: tuple[PolicyRow, ...]
    declared_order: Mapping[str, Sequence[str]]
    channel_gaps: Mapping[str, int]
    blackout_dates: tuple[Blackout, ...]
    do_not_contact: tuple[str, ...]
    campaign_settings: Mapping[str, CampaignSetting]
    category_settings: Mapping[str, CategorySetting]
    universal_holdouts: tuple[UniversalHoldout, ...]
    dose_arms: tuple[DoseArms, ...]
    campaigns: tuple[Row, ...]


def make_policy(chooser: random.Random, as_of: date, prefixes: Sequence[str] = ("",)) -> Policy:
    """Rates that begin at dates of the thresholds, and none for XXX; caps that are easily reached, some of 0.

    Of the rest there is little in most policies: what forbids something to everybody hides the rules after it.
    """
    rates = [
        ExchangeRate(currency, as_of - timedelta(days=age), Decimal(chooser.choice(RATES)))
        for currency in ("USD", "GBP")
        for age in sorted({chooser.choice((400, 90, 30)), chooser.choice((400, 31, 7))})
    ]
    caps = {}
    for _ in range(chooser.randint(0, 7)):
        segment = "*" if chooser.random() < 0.5 else chooser.choice(POLICY_SEGMENTS)
        key = (segment, chooser.choice(("all", "all", *CHANNEL_NAMES)), chooser.choice((1, 7, 7, 30)))
        never = 0 if chooser.random() < 0.5 and (segment, key[1]) != ("*", "all") else 2
        caps[key] = PolicyRow(*key, chooser.choice((never, 1, 1, 2, 2, 3, 4, 5, 6)))
    tired = ("fatigued", chooser.choice(("all", "email", "push")), 7)
    for key in (("*", "all", 1), ("*", "all", 7), ("*", "email", 7), ("*", "in_app", 7), tired):
        if chooser.random() < 0.4:
            caps[key] = PolicyRow(*key, 0 if key[0] == "fatigued" else chooser.choice((1, 1, 2, 3)))
    order = {
        "interest": chooser.choice(((), ("garden", "books"), ("tools", "books", "garden"))),
        "value": chooser.choice(((), ("fair", "green"))),
    }
    gaps = {name: chooser.choice((0, 1, 2, 3, 14)) for name in sorted({*CHANNEL_NAMES}) if chooser.random() < 0.4}
    blackouts = []
    for _ in range(chooser.choice((0, 0, 0, 1, 2))):
        day = as_of + timedelta(days=chooser.choice((0, 1, 1, 1, 2)))
        where = chooser.choice((("email", None), ("push", "FR"), (None, " fr "), (None, "DE"), ("in_app", None)))
        is_weekday = chooser.random() < 0.5
        blackouts.append(Blackout(None if is_weekday else day, WEEKDAYS[day.weekday()] if is_weekday else None, *where))
    blocked = [f"{prefix}u{chooser.randint(1, 8)}" for prefix in prefixes if chooser.random() < 0.3]
    return Policy(
        exchange_rates=tuple(rates),
        contact_policy=tuple(caps.values()),
        declared_order=order,
        channel_gaps=gaps,
        blackout_dates=tuple(blackouts),
        do_not_contact=tuple(blocked),
        campaign_settings={name: _setting(chooser) for name in CAMPAIGNS if chooser.random() < 0.35},
        category_settings={
            category: CategorySetting(chooser.random() < 0.4, NEWS.get(category) if chooser.random() < 0.8 else None)
            for category in ("books", "garden", "tools")
            if chooser.random() < 0.9
        },
        universal_holdouts=tuple(
            UniversalHoldout(as_of + timedelta(days=days), f"salt {days}", Decimal(chooser.choice(("0", "0.3", "0.3"))))
            for days in (-400, -7, 0, 1, 2)
            if chooser.random() < 0.4
        ),
        dose_arms=_dose_arms(random.Random(f"{as_of} {sorted(caps)}"), as_of),
        campaigns=tuple(_campaigns(chooser, as_of)),
    )


def _dose_arms(chooser: random.Random, as_of: date) -> tuple[DoseArms, ...]:
    return tuple(
        DoseArms(as_of + timedelta(days=days), f"salt {days}", Decimal(chooser.choice(("0", "0.3", "0.4"))))
        for days in (-200, -7, 0, 1, 2)
        if chooser.random() < 0.25
    )


def _setting(chooser: random.Random) -> CampaignSetting:
    """A campaign with something of its own."""

    def maybe(*values: T) -> T | None:
        return chooser.choice(values) if chooser.random() < 0.3 else None

    channels = ["email", "push", "in_app", "sms", "telegram"]
    chooser.shuffle(channels)
    halves = (("control", Decimal("0.5")), ("offer", Decimal("0.5")))
    thirds = (("a", Decimal("0.333333")), ("b", Decimal("0.333333")), ("c", Decimal("0.333334")))
    return CampaignSetting(
        is_active=maybe(True, True, True, False),
        value=maybe(Decimal("0"), Decimal("2.5"), Decimal("2.50"), Decimal("7"), Decimal("100")),
        channels=maybe(tuple(channels[: chooser.randint(1, 4)])),
        holdout_share=maybe(Decimal("0"), Decimal("0.3"), Decimal("0.5"), Decimal("1")),
        variants=maybe(halves, thirds),
        salt=maybe("2", "x|y"),
        repeat_after_days=maybe(1, 7, 14, 30),
        max_sends=maybe(1, 2),
        max_per_day=maybe(1, 2),
    )


def _campaigns(chooser: random.Random, as_of: date) -> Iterable[Row]:
    """Campaigns that begin or end around the plan date, or say so from a date on, and one without any time."""
    for name in CAMPAIGNS:
        for age in (400, chooser.choice((-1, 0, 1)))[: chooser.choice((0, 0, 0, 0, 1, 2))]:

            def moment(*days: int | None) -> datetime | None:
                day = chooser.choice(days)
                if day is None:
                    return None
                return datetime.combine(as_of + timedelta(days=day), chooser.choice(CLOCK_TIMES), UTC)

            yield {
                "campaign_id": name,
                "name": name,
                "starts_at": moment(None, None, None, -30, 0, 1, 2),
                "ends_at": moment(None, None, None, 30, 2, 1, 0, -1),
                "updated_at": datetime.combine(as_of - timedelta(days=age), chooser.choice(CLOCK_TIMES), UTC),
            }


def make_case(
    seed: int,
    *,
    erasures: bool = False,
    settings: bool = True,
    time_zone: str | None = None,
    as_of: date | None = None,
    policy: Policy | None = None,
    audiences: Mapping[str, Audience] | None = None,
    prefix: str = "",
    size: int = 8,
) -> Case:
    """The world and as_of of a seed.

    Without ``settings`` the world keeps the defaults, but for the time zone (drawn, unless one is given).
    ``size`` is the most orders, runs of events and messages at random; beside these users live some stories each.
    ``audiences``: their settings, by name. ``prefix`` begins every id. One world in three lacks some datasets.
    """
    chooser = random.Random(seed)
    zone = time_zone or chooser.choice(TIME_ZONES)
    as_of = as_of or chooser.choice(DATES)
    policy = policy or make_policy(chooser, as_of, (prefix,))
    users = tuple(f"{prefix}u{number}" for number in range(1, chooser.randint(1, 8) + 1))
    make = _Maker(chooser, ZoneInfo(zone), as_of, users, prefix, size, erasures)
    for user in users:
        for _ in make.some(0, 3):
            make.one(_STORIES)(make, user)
    _random_events(make)
    _random_messages(make)
    _random_orders(make)
    _users(make)
    _products(make)
    _order_versions(make)
    _order_items(make)
    _identities(make)
    _consents(make)
    _addresses(make)
    if erasures:
        requests = [{"user_id": make.user(), "requested_at": make.moment()} for _ in make.some(0, 2)]
        make.rows["erasures"] = requests
    else:
        _other_contents(make, "events", lambda row: _changed_event(make, row))
        _other_contents(make, "messages", lambda row: {"channel": make.one(CHANNEL_NAMES)})
    _other_contents(make, "message_events", lambda row: {"event": "opened", "is_machine_open": None})
    if make.chance(3):
        for dataset in chooser.sample(sorted(set(DATASETS) - {"erasures"}), make.one((1, 2, 4, 11))):
            make.rows[dataset] = []
    make.rows["campaigns"] = [dict(row) for row in policy.campaigns]
    rows: dict[str, Any] = make.rows
    world = World(
        **rows,
        time_zone=zone,
        exchange_rates=policy.exchange_rates,
        contact_policy=policy.contact_policy,
        declared_order=policy.declared_order,
        planned_contacts=make.planned,
        channel_gaps=policy.channel_gaps,
        blackout_dates=policy.blackout_dates,
        do_not_contact=policy.do_not_contact,
        campaign_settings=policy.campaign_settings,
        category_settings=policy.category_settings,
        universal_holdouts=policy.universal_holdouts,
        dose_arms=policy.dose_arms,
        audiences=audiences or {},
    )
    if settings:
        world = replace(
            world,
            rfm_cut_policy=make.one(("monthly", "daily")),
            rfm_min_cut_population=make.one((1, 3, 100)),
            max_users_per_device=make.one((1, 1, 2)),
            link_back_days=make.one((None, None, 0, 1, 30)),
            declared_min_users=make.one((1, 2, 20)),
            family_max_segments=make.one((2, 4, 30)),
        )
    return Case(world, as_of)


def carried(world: World, as_of: date, chooser: random.Random) -> World:
    """The world after a plan list for its plan date has carried some candidates, on a channel of theirs or another."""
    plan_date = as_of + timedelta(days=1)
    rows = {(row["plan_date"], row["user_id"], row["campaign_id"]): row for row in world.planned_contacts}
    channels = oracle.candidate_channels_as_of(world, as_of)
    for candidate in oracle.candidates_as_of(world, as_of):
        listed = [channel for channel, _ in channels.get(candidate.key, [])] + ["email"]
        if chooser.random() < 0.3:
            row = {"plan_date": plan_date, "user_id": candidate.user_id, "campaign_id": candidate.campaign_id}
            row |= {"audience": candidate.audience, "channel": chooser.choice([*listed[:2], chooser.choice(listed)])}
            row |= {"variant": candidate.variant, "message_class": candidate.message_class}
            rows.setdefault((plan_date, candidate.user_id, candidate.campaign_id), row)
    return replace(world, planned_contacts=list(rows.values()))


def make_batches(chooser: random.Random, world: World, number: int) -> list[Batch]:
    """The rows of the world in so many deliveries, in any order, some of them repeated in any of them."""
    rows = [(dataset, row) for dataset in DATASETS for row in world.rows(dataset)]
    if rows:
        rows += chooser.choices(rows, k=chooser.randint(0, len(rows) // 4))
    chooser.shuffle(rows)
    deliveries: list[Batch] = [{} for _ in range(number)]
    for dataset, row in rows:
        chooser.choice(deliveries).setdefault(dataset, []).append(row)
    return deliveries


def cases(**parts: Any) -> st.SearchStrategy[Case]:
    """Worlds with a date; ``parts`` as for ``make_case``."""
    return st.integers(0, 2**32 - 1).map(lambda seed: make_case(seed, **parts))


def batches(world: World) -> st.SearchStrategy[list[Batch]]:
    """The rows of the world in 1 to 4 deliveries."""
    return st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 4)).map(
        lambda drawn: make_batches(random.Random(drawn[0]), world, drawn[1])
    )


def made_late(world: World, as_of: date, chooser: random.Random) -> World:
    """Add many messages to a few users, with outcomes, cancellations and links that become known days later.

    Some of the users are tired of them.
    """
    rows: dict[str, Rows] = defaultdict(list)
    users = sorted(oracle.users_as_of(world, as_of))
    end = datetime.combine(as_of, time(20), UTC)
    for user in chooser.sample(users, min(3, len(users))):
        for number in range(chooser.choice((12, 20, 30))):
            message = f"{user}_late_{number}"
            sent_at = end - timedelta(hours=chooser.randrange(24 * chooser.choice((20, 50, 90))))
            channel = chooser.choice(("email", "email", "push", "sms"))
            rows["messages"].append({"message_id": message, "user_id": user, "channel": channel, "sent_at": sent_at})
            for event in range(chooser.choice((0, 0, 0, 1, 2, 3))):
                delay = timedelta(hours=chooser.choice((-30, 0, 0, 1, 20, 30, 100, 240)))
                name = chooser.choice(
                    ("bounced", "bounced", "failed", "delivered", "delivered", "delivered", "clicked")
                )
                rows["message_events"].append({
                    "event_id": f"{message}_{event}",
                    "message_id": message,
                    "event": name,
                    "bounce_type": chooser.choice((None, "soft", "soft", "hard")) if name == "bounced" else None,
                    "occurred_at": sent_at + delay,
                })  # fmt: skip
        for number in range(chooser.choice((0, 1, 2))):
            at = end - timedelta(hours=chooser.randrange(24 * 40))
            order = {"order_id": f"{user}_late_{number}", "user_id": user, "ordered_at": at}
            order["gross_amount"] = Decimal("10.00")
            later = at + timedelta(hours=chooser.choice((1, 30, 100, 300)))
            rows["orders"].append({**order, "status": "placed", "updated_at": at})
            status = chooser.choice(("cancelled", "completed", "refunded"))
            rows["orders"].append({**order, "status": status, "updated_at": later})
        for number in range(chooser.choice((0, 1, 2))):
            at, device = end - timedelta(hours=chooser.randrange(24 * 40)), f"{user}_late_{number}"
            rows["events"].append({"event_id": device, "anonymous_id": device, "event": "page", "timestamp": at})
            for owner in chooser.sample(users, min(chooser.choice((1, 2)), len(users))):
                delay = timedelta(hours=chooser.choice((-200, -50, 1, 30, 100, 300)))
                rows["identities"].append({"anonymous_id": device, "user_id": owner, "linked_at": at + delay})
    datasets: dict[str, Any] = {name: [*world.rows(name), *more] for name, more in rows.items()}
    return replace(world, **datasets)


def whole(world: World) -> Batch:
    """Everything in one delivery, in the order of the world."""
    return {dataset: list(world.rows(dataset)) for dataset in DATASETS if world.rows(dataset)}


def write_batch(batch: Mapping[str, Iterable[Row]], landing: Path, name: str) -> list[Path]:
    """Write one JSON lines file ``<landing>/<dataset>/<name>.jsonl`` for each dataset of the batch."""
    files = []
    for dataset, rows in batch.items():
        file = landing / dataset / f"{name}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(as_json(row, salt), ensure_ascii=False) for salt, row in enumerate(rows)]
        file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        files.append(file)
    return files


def write_world(world: World, landing: Path, name: str = "all") -> list[Path]:
    """Write all rows of the world in one delivery."""
    return write_batch(whole(world), landing, name)


def as_json(row: Row, salt: int = 0) -> dict[str, Any]:
    """A row as a supplier would write it; ``salt`` varies the offsets and whether nulls are written."""
    written = {column: _json_value(value, salt + place) for place, (column, value) in enumerate(row.items())}
    return written if salt % 2 else {column: value for column, value in written.items() if value is not None}


def _json_value(value: Any, salt: int) -> Any:
    if isinstance(value, datetime):
        return _written_time(value, salt)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _written_time(moment: datetime, salt: int) -> str:
    """ISO 8601 with one of several offsets; the last style has none, which means UTC."""
    offsets = (timedelta(0), timedelta(hours=2), timedelta(hours=-5), timedelta(hours=5, minutes=30))
    style = salt % (len(offsets) + 2)
    if style < len(offsets):
        return moment.astimezone(timezone(offsets[style])).isoformat()
    text = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
    return text + "Z" if style == len(offsets) else text
