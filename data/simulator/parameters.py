"""What the simulated shop is like: every number that a person might want to change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

DAY = 86_400


@dataclass(frozen=True)
class Kind:
    """A kind of person. Rates are by day; ``age`` is in days since the user was created, on the last day."""

    name: str
    weight: int
    age: tuple[int, int]
    visits: float = 0.0
    falls_asleep: float = 0.0
    wakes: float = 0.0
    leaves: float = 0.0
    buys: float = 0.0
    shop_orders: float = 0.0
    has_history: bool = False


@dataclass(frozen=True)
class Traffic:
    """How a channel is used. ``sends`` is the chance of a message by day of the week, Monday first."""

    name: str
    providers: tuple[str, ...]
    consent: float
    sends: tuple[float, ...]
    opens: float
    clicks: float
    unsubscribes: float
    complains: float


KINDS = (
    Kind("regular", 20, (60, 900), 0.20, 0.004, 0.03, 0.0005, 0.13, 0.002, True),
    Kind("sleeper", 22, (40, 700), 0.18, 0.030, 0.002, 0.0060, 0.09, 0.0, True),
    Kind("returner", 10, (90, 700), 0.16, 0.030, 0.030, 0.0010, 0.11, 0.0, True),
    Kind("single", 12, (2, 170)),
    Kind("newcomer", 8, (0, 13), 0.30, 0.020, 0.0, 0.0, 0.10),
    Kind("shop", 10, (30, 900), shop_orders=0.007, has_history=True),
    Kind("former", 10, (300, 900), has_history=True),
    Kind("silent", 8, (10, 400)),
)

#: Uninterrupted interest fades: the rate of visits after n weeks awake, in parts of the rate at the start.
WEEKLY_FADING = 0.96

TRAFFIC = (
    Traffic("email", ("klaviyo", "brevo"), 0.75, (0, 0.20, 0, 0.20, 0, 0.08, 0), 0.32, 0.16, 0.0030, 0.0010),
    Traffic("sms", ("twilio",), 0.45, (0, 0, 0.05, 0, 0.07, 0, 0), 0.0, 0.07, 0.0060, 0.0005),
    Traffic("push", ("batch", "onesignal"), 0.60, (0.10, 0, 0.12, 0, 0.12, 0.06, 0.06), 0.09, 0.50, 0.0020, 0),
    Traffic("web_push", ("onesignal",), 0.25, (0, 0.08, 0, 0, 0.10, 0, 0), 0.06, 0.50, 0.0040, 0),
    Traffic("in_app", ("braze",), 0.60, (0.02, 0.02, 0.02, 0.02, 0.02, 0.03, 0.03), 0.60, 0.20, 0.0002, 0),
    Traffic("whatsapp", ("meta",), 0.18, (0, 0, 0, 0.06, 0, 0, 0), 0.75, 0.12, 0.0040, 0.0008),
    Traffic("telegram", ("brevo",), 0.70, (0, 0, 0, 0, 0.12, 0, 0), 0.65, 0.12, 0.0020, 0),
    Traffic("viber", ("brevo",), 0.70, (0, 0, 0, 0, 0, 0.12, 0), 0.60, 0.10, 0.0020, 0),
    Traffic("voice", ("twilio",), 0.10, (0.01, 0, 0, 0, 0, 0, 0), 0.0, 0.0, 0.0060, 0.0010),
)

CHANNELS = tuple(traffic.name for traffic in TRAFFIC)


@dataclass(frozen=True)
class Parameters:
    """The size, the days and the seed of a run, and the rates that hold for everybody."""

    users: int = 2000
    days: int = 180
    seed: int = 1
    last_day: date = date(2026, 6, 30)
    #: Orders are known for longer than visits: a shop imports them when it starts to track.
    history_days: int = 720
    strangers: int = 250
    #: How much each contact of the last 7 days adds to the chance of an unsubscribe or a complaint.
    fatigue: float = 0.35
    late_share: float = 0.03

    @cached_property
    def first_day(self) -> date:
        """The first day of visits and messages."""
        return self.last_day - timedelta(days=self.days - 1)

    @cached_property
    def start(self) -> int:
        """Midnight (UTC) at which the first day begins, in seconds since 1970."""
        first = self.first_day
        return int(datetime(first.year, first.month, first.day, tzinfo=UTC).timestamp())

    @cached_property
    def end(self) -> int:
        """Midnight (UTC) at which the last day ends."""
        return self.start + self.days * DAY

    def date_of(self, day: int) -> date:
        """The date of the day with this number; the first day is 0."""
        return self.first_day + timedelta(days=day)
