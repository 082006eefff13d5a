"""Hypothesis strategies for small worlds around the boundaries of the rules, and their landing files."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from orchestration.landing.contract import DATASETS
from tests.properties.oracle import ExchangeRate, Row, World

Draw = Callable[..., Any]
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
AGES = (0, 1, 2, 6, 7, 8, 13, 14, 15, 29, 30, 31, 32, 60, 89, 90, 91, 180, 364, 365, 366, 400, -1, -2)
RECENT_AGES = (0, 1, 2, 6, 7, 13, 14, 15, 29, 30, 31, -1)
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
    "page", "Product Viewed", "Application Opened", "screen", "Application Installed",
    "Application Uninstalled", "Unheard Of",
)  # fmt: skip
SESSIONS = (None, None, "s1", "s2")
DEVICES = ("a1", "a2")
AMOUNTS = tuple(Decimal(text) for text in ("10", "10.00", "25.5", "0", "99.99", "10.005", "33.333333", "0.01"))
CURRENCIES = (None, None, "EUR", "USD", "GBP", "XXX")
RATES = ("0.9", "1.1", "0.915", "1.005")
CHANNEL_NAMES = ("email", "push", "sms", "in_app", "web_push", "telegram")


@dataclass(frozen=True)
class Case:
    """A world, and a date to look at it from."""

    world: World
    as_of: date


def _one(draw: Draw, values: Sequence[Any]) -> Any:
    return values[draw(st.integers(0, len(values) - 1))]


def _chance(draw: Draw, one_in: int) -> bool:
    """True for about one draw in ``one_in``; shrinks to False."""
    return bool(draw(st.integers(0, one_in - 1)) == one_in - 1)


def _some(draw: Draw, least: int, most: int) -> range:
    return range(draw(st.integers(least, most)))


@dataclass(frozen=True)
class _Maker:
    """What the rows of one world are drawn with."""

    draw: Draw
    zone: ZoneInfo
    as_of: date
    users: tuple[str, ...]
    size: int
    #: Erased rows lose what they won or linked, so worlds with erasures share neither ids nor devices.
    has_erasures: bool

    def moment(self, ages: Sequence[int] = AGES) -> datetime:
        """A moment on a date near a threshold, often near midnight of the business time zone."""
        clock = _one(self.draw, CLOCK_TIMES)
        day = self.as_of - timedelta(days=_one(self.draw, ages))
        return datetime.combine(day, clock, self.zone).astimezone(UTC)

    def user(self) -> str:
        user: str = _one(self.draw, self.users)
        return user

    def user_of(self, device: str) -> str:
        """A user to link the device to."""
        return self.users[DEVICES.index(device) % len(self.users)] if self.has_erasures else self.user()

    def device_of(self, user: str) -> str | None:
        """A device that may be linked to the user."""
        devices = [d for d in DEVICES if not self.has_erasures or self.user_of(d) == user]
        return _one(self.draw, devices) if devices else None

    def maybe(self, value: Callable[[], Any], one_in: int = 2) -> Any:
        """A drawn value, or null once in ``one_in``."""
        return None if _chance(self.draw, one_in) else value()

    def later(self, moment: datetime) -> datetime:
        """The same moment, or one after it by a while that may cross midnight or a threshold."""
        return moment + timedelta(seconds=_one(self.draw, (0, 1, 3_600, 86_400, 15 * 86_400, 31 * 86_400)))


def _orders(make: _Maker) -> Rows:
    rows: Rows = []
    for number in _some(make.draw, 0, make.size):
        draw = make.draw
        ordered_at = rows[-1]["ordered_at"] if rows and _chance(draw, 5) else make.moment()
        gross = _one(draw, AMOUNTS)
        first: dict[str, Any] = {
            "order_id": f"o{number}",
            "user_id": make.user(),
            "ordered_at": ordered_at,
            "status": _one(draw, ("completed", None, "placed", "completed", "cancelled", "refunded")),
            "gross_amount": gross,
            "discount_amount": _one(draw, (None, None, Decimal("1"), gross)),
            "refunded_amount": _one(draw, (None, None, None, Decimal("0"), Decimal("2.5"), gross)),
            "tax_amount": _one(draw, (None, None, Decimal("1.9"))),
            "shipping_amount": _one(draw, (None, None, Decimal("4.95"))),
            "currency": _one(draw, CURRENCIES),
            "updated_at": make.maybe(partial(make.later, ordered_at)),
        }
        rows.append(first)
        for _ in _some(draw, 0, 2):
            rows.append(_next_order_version(make, rows[-1]))
    return rows


def _next_order_version(make: _Maker, row: Row) -> dict[str, Any]:
    """A refund, a cancellation, another date, user or amount; known later, or at an equal time."""
    draw = make.draw
    known = row["updated_at"] or row["ordered_at"]
    version = {**row, "updated_at": make.maybe(lambda: make.later(known), one_in=6)}
    change = draw(st.integers(0, 6))
    if change == 0:
        version["refunded_amount"] = row["gross_amount"] - (row["discount_amount"] or 0)
    elif change == 1:
        version["refunded_amount"] = Decimal("2.5")
    elif change == 2:
        version["status"] = _one(draw, ("refunded", "cancelled", "completed", "placed"))
    elif change == 3:
        version["ordered_at"] = make.moment()
    elif change == 4:
        version["user_id"] = make.user()
    elif change == 5:
        version["gross_amount"] = _one(draw, AMOUNTS)
    else:
        version["coupon"] = "SPRING"
    return version


def _users(make: _Maker) -> Rows:
    rows: Rows = []
    for user in make.users:
        if _chance(make.draw, 3):
            continue
        row: dict[str, Any] = {
            "user_id": user,
            "email": make.maybe(partial("{}@example.org".format, user)),
            "phone": make.maybe(lambda: "+33612345678", one_in=3),
            "interests": make.maybe(lambda: ["garden", "books"]),
            "created_at": make.maybe(make.moment),
        }
        rows.append(row)
        if _chance(make.draw, 4):
            known = row["created_at"] or make.moment()
            rows.append({**row, "email": None, "updated_at": make.maybe(partial(make.later, known))})
    return rows


def _events(make: _Maker) -> Rows:
    """Runs of events of a user or a device, with gaps around 30 minutes, some of them across midnight."""
    draw = make.draw
    rows: Rows = []
    for _ in _some(draw, 0, make.size):
        owner = {"anonymous_id": _one(draw, DEVICES)} if _chance(draw, 3) else {"user_id": make.user()}
        session = _one(draw, SESSIONS)
        moment = make.moment(RECENT_AGES if _chance(draw, 2) else AGES)
        for _ in _some(draw, 1, 4):
            row: dict[str, Any] = {
                "event_id": f"e{len(rows)}",
                **owner,
                "event": _one(draw, EVENT_NAMES) if _chance(draw, 3) else "page",
                "timestamp": moment,
                "received_at": make.maybe(partial(make.later, moment)),
                "session_id": _one(draw, SESSIONS) if _chance(draw, 4) else session,
            }
            if "user_id" in row and _chance(draw, 6):
                row["anonymous_id"] = make.device_of(row["user_id"])
            if _chance(draw, 6):
                row["properties"] = '{"b":1,"a":"é"}'
            rows.append(row)
            moment += timedelta(seconds=_one(draw, GAPS))
    return rows if make.has_erasures else rows + _other_contents(make, rows, partial(_changed_event, make))


def _changed_event(make: _Maker, row: Row) -> dict[str, Any]:
    """What another row under the same event_id says instead."""
    change = make.draw(st.integers(0, 2))
    if change == 0:
        return {"category": "books"}
    return {"user_id": make.user()} if change == 1 else {"timestamp": make.later(row["timestamp"])}


def _other_contents(make: _Maker, rows: Rows, change: Callable[[Row], dict[str, Any]]) -> Rows:
    """Rows under ids that are taken, with other content; updated_at and received_at decide which wins."""
    others: Rows = []
    for _ in _some(make.draw, 0, 2) if rows else ():
        row = _one(make.draw, rows)
        other = {**row, **change(row), "updated_at": make.maybe(lambda: make.moment((0, 1)), one_in=3)}
        if row.get("received_at") is not None:
            # The landing contract refuses an event from more than a day after its receipt.
            other["received_at"] = make.later(max(row["received_at"], other["timestamp"]))
        others.append(other)
    return others


def _identities(make: _Maker, moments: Sequence[datetime]) -> Rows:
    """Links at, before and after events of the world, without a time, and to several users of one device."""
    rows: Rows = []
    for _ in _some(make.draw, 0, 3):
        device = _one(make.draw, DEVICES)
        row: dict[str, Any] = {"anonymous_id": device, "user_id": make.user_of(device)}
        if not _chance(make.draw, 5):
            near = moments and not _chance(make.draw, 3)
            row["linked_at"] = make.later(_one(make.draw, moments)) if near else make.moment(RECENT_AGES)
        rows.append(row)
    return rows


def _messages(make: _Maker) -> tuple[Rows, Rows]:
    draw = make.draw
    messages: Rows = []
    events: Rows = []
    for number in _some(draw, 0, make.size):
        sent_at = make.moment()
        message: dict[str, Any] = {
            "message_id": f"m{number}",
            "user_id": make.user(),
            "channel": _one(draw, CHANNEL_NAMES),
            "campaign_id": make.maybe(lambda: "spring"),
            "message_class": _one(draw, (None, "marketing", "marketing", "transactional", "service")),
            "sent_at": sent_at,
        }
        messages.append(message)
        for _ in _some(draw, 0, 3):
            name = _one(draw, _MESSAGE_EVENTS)
            events.append(
                {
                    "event_id": f"x{len(events)}",
                    "message_id": message["message_id"],
                    "event": name,
                    "occurred_at": sent_at + timedelta(seconds=_one(draw, DELAYS)),
                    "is_machine": _one(draw, (None, True, False)) if name == "clicked" else None,
                    "is_machine_open": _one(draw, (None, True, False)) if name == "opened" else None,
                    "bounce_type": _one(draw, (None, "soft", "soft", "hard")) if name == "bounced" else None,
                }
            )
    if _chance(draw, 4):
        late = {"message_id": "nowhere", "event": "opened", "occurred_at": make.moment()}
        events.append({"event_id": f"x{len(events)}", **late})
    if not make.has_erasures:
        messages += _other_contents(make, messages, lambda row: {"channel": _one(draw, CHANNEL_NAMES)})
    events += _other_contents(make, events, lambda row: {"event": "opened", "is_machine_open": None})
    return messages, events


_MESSAGE_EVENTS = (
    "delivered", "opened", "clicked", "bounced", "bounced", "read", "replied", "failed", "complained",
    "unsubscribed",
)  # fmt: skip


def _consents(make: _Maker) -> Rows:
    rows: Rows = []
    for _ in _some(make.draw, 0, 4):
        row: dict[str, Any] = {
            "user_id": make.user(),
            "channel": _one(make.draw, CHANNEL_NAMES),
            "status": _one(make.draw, ("withdrawn", "granted")),
            "occurred_at": make.moment(),
        }
        rows.append(row)
        if _chance(make.draw, 4):
            rows.append({**row, "source": "centre", "updated_at": make.later(row["occurred_at"])})
    return rows


def _addresses(make: _Maker) -> Rows:
    return [
        {
            "user_id": make.user(),
            "channel": _one(make.draw, ("push", "web_push", "telegram")),
            "address": f"token{draw_number}",
            "status": _one(make.draw, (None, "active", "invalid")),
            "updated_at": make.moment(),
        }
        for draw_number in _some(make.draw, 0, 3)
    ]


def _rates(make: _Maker) -> list[ExchangeRate]:
    """Rates for USD and GBP that begin at dates of the thresholds; none before, and never one for XXX."""
    return [
        ExchangeRate(currency, make.as_of - timedelta(days=age), Decimal(_one(make.draw, RATES)))
        for currency in ("USD", "GBP")
        for age in {_one(make.draw, (400, 90, 30)), _one(make.draw, (400, 31, 7))}
    ]


@st.composite
def cases(
    draw: Draw,
    *,
    orders: bool = True,
    events: bool = True,
    messages: bool = True,
    erasures: bool = False,
    settings: bool = True,
    time_zone: str | None = None,
    size: int = 8,
) -> Case:
    """A world and an as_of.

    Without ``settings`` the world keeps the defaults, but for the time zone (drawn, unless one is given).
    ``size`` is the most orders (without their versions), runs of events and messages.
    """
    zone = time_zone or _one(draw, TIME_ZONES)
    as_of = _one(draw, DATES)
    users = tuple(f"u{number}" for number in range(1, draw(st.integers(1, 8)) + 1))
    make = _Maker(draw, ZoneInfo(zone), as_of, users, size, erasures)
    rows: dict[str, Any] = {"users": _users(make)}
    if orders:
        rows["orders"] = _orders(make)
    if events:
        rows["events"] = _events(make)
        rows["identities"] = _identities(make, [row["timestamp"] for row in rows["events"]])
    if messages:
        rows["messages"], rows["message_events"] = _messages(make)
        rows["consents"] = _consents(make)
        rows["addresses"] = _addresses(make)
    if erasures:
        rows["erasures"] = [{"user_id": make.user(), "requested_at": make.moment()} for _ in _some(draw, 0, 2)]
    world = World(**rows, time_zone=zone, exchange_rates=_rates(make) if orders else ())
    if settings:
        world = replace(
            world,
            cut_policy=_one(draw, ("monthly", "daily")),
            min_cut_population=_one(draw, (1, 3, 100)),
            max_users_per_device=_one(draw, (1, 1, 2)),
            link_back_days=_one(draw, (None, None, 0, 1, 30)),
        )
    return Case(world, as_of)


def worlds(**parts: Any) -> st.SearchStrategy[World]:
    """Worlds without a date; ``parts`` as for ``cases``."""
    return cases(**parts).map(lambda case: case.world)


def other_dates(case: Case) -> st.SearchStrategy[date]:
    """Dates around the case's own, on both sides, and around its thresholds."""
    return st.sampled_from(AGES).map(lambda age: case.as_of - timedelta(days=age))


@st.composite
def batches(draw: Draw, world: World) -> list[Batch]:
    """The rows of the world in 1 to 4 deliveries, in any order, some of them repeated in any of them."""
    number = draw(st.integers(1, 4))
    chooser = random.Random(draw(st.integers(0, 2**32 - 1)))
    rows = [(dataset, row) for dataset in DATASETS for row in world.rows(dataset)]
    if rows:
        rows += chooser.choices(rows, k=chooser.randint(0, len(rows) // 2))
    chooser.shuffle(rows)
    deliveries: list[Batch] = [{} for _ in range(number)]
    for dataset, row in rows:
        chooser.choice(deliveries).setdefault(dataset, []).append(row)
    return deliveries


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
