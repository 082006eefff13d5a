"""What the simulated shop is like: every number of the model that a person might want to change.

Chances are numbers from 0 to 1; rates are chances a day unless they say otherwise; weights are relative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

DAY = 86_400

#: A day number that never comes.
NEVER = 30_000


@dataclass(frozen=True)
class Kind:
    """A kind of person."""

    name: str
    weight: int
    #: Share of them who came before the first day; the others come evenly over the days.
    before: float
    #: Visits a day of somebody who has just come, before it settles.
    visits: float = 0.0
    falls_asleep: float = 0.0
    wakes: float = 0.0
    leaves: float = 0.0
    #: Chance that a visit ends in an order, for a person of usual taste.
    buys: float = 0.0
    #: Orders a day in the shop itself, without a visit to the site.
    shop_orders: float = 0.0
    has_past_orders: bool = False
    #: Comes once: signs up in that visit.
    comes_once: bool = False


KINDS = (
    Kind("regular", 22, 0.75, 0.31, 0.004, 0.030, 0.0005, 0.10, 0.002, has_past_orders=True),
    Kind("sleeper", 20, 0.70, 0.27, 0.022, 0.002, 0.0050, 0.08, has_past_orders=True),
    Kind("returner", 12, 0.70, 0.25, 0.025, 0.030, 0.0010, 0.09, has_past_orders=True),
    Kind("single", 12, 0.0, falls_asleep=1.0, comes_once=True),
    Kind("taster", 10, 0.0, 0.45, 0.060, 0.004, 0.0200, 0.07),
    Kind("shop", 9, 0.85, shop_orders=0.007, has_past_orders=True),
    Kind("former", 8, 1.0, leaves=0.01, has_past_orders=True),
    Kind("silent", 7, 0.40),
)


@dataclass(frozen=True)
class Channel:
    """A channel: who can be reached on it, how people take to it, and what drives them off."""

    name: str
    providers: tuple[str, ...]
    #: Share of people with an address, of those who can have one: a phone, an app, or anybody.
    addresses: float
    #: Share of people with an address who agree to marketing when they sign up.
    consents: float
    #: Chance that an awake person of usual taste opens (or reads) a message; 0 where nobody can see it.
    opens: float
    #: Chance of a click by somebody who opened; where opens can't be seen, by somebody whom it reached.
    clicks: float
    replies: float
    fails: float
    bounces_softly: float
    #: Chance that an arrival is logged as delivered.
    logs_delivery: float
    #: Daily chances, on a day with a contact on the channel, for sensitivity 1 and at most 2 contacts a week.
    unsubscribes: float
    complains: float
    switches_off: float
    #: The provider says ``read``, not ``opened``.
    says_read: bool = False


CHANNELS = (
    Channel("email", ("klaviyo", "brevo"), 0.94, 0.76, 0.32, 0.16, 0, 0.006, 0.012, 0.92, 0.0016, 0.0004, 0),
    Channel("sms", ("twilio",), 1.0, 0.48, 0.0, 0.07, 0.012, 0.010, 0.010, 0.95, 0.0030, 0.0003, 0),
    Channel("push", ("batch", "onesignal"), 1.0, 0.66, 0.10, 0.50, 0, 0.010, 0, 0.85, 0, 0, 0.0018),
    Channel("web_push", ("onesignal",), 0.40, 0.45, 0.07, 0.50, 0, 0.010, 0, 0.80, 0, 0, 0.0030),
    Channel("in_app", ("braze",), 1.0, 0.90, 0.60, 0.20, 0, 0.002, 0, 0.70, 0, 0, 0.0002, True),
    Channel("whatsapp", ("own",), 1.0, 0.20, 0.75, 0.12, 0.015, 0.008, 0, 0.95, 0.0020, 0.0006, 0, True),
    Channel("telegram", ("brevo",), 0.08, 0.80, 0.65, 0.12, 0, 0.008, 0, 0.90, 0.0015, 0, 0, True),
    Channel("viber", ("brevo",), 0.08, 0.80, 0.60, 0.10, 0, 0.008, 0, 0.90, 0.0015, 0, 0, True),
    Channel("voice", ("twilio",), 1.0, 0.12, 0.0, 0.01, 0, 0.020, 0, 0.75, 0.0040, 0.0006, 0),
)
CHANNEL_NAMES = tuple(channel.name for channel in CHANNELS)
CHANNEL = {name: number for number, name in enumerate(CHANNEL_NAMES)}
#: Channels whose address is a phone number, and those whose addresses are rows of ``addresses``.
PHONE_CHANNELS = ("sms", "whatsapp", "voice")
APP_CHANNELS = ("push", "in_app")
TOKEN_CHANNELS = ("push", "web_push", "telegram", "viber")


@dataclass(frozen=True)
class Variant:
    """A variant of an A/B test: what it multiplies the chance of a click, and of an order after a click, by."""

    name: str
    clicks: float = 1.0
    orders: float = 1.0


@dataclass(frozen=True)
class Campaign:
    """A campaign of the shop's own calendar: it goes to everybody who matches on its days."""

    campaign_id: str
    name: str
    channel: str
    objective: str
    #: Days of the week on which it is sent, Monday is 0.
    weekdays: tuple[int, ...]
    #: The least list level that gets it (see ``Parameters.levels``).
    level: int
    #: all, awake, asleep, or buyers.
    audience: str = "all"
    hour: int = 9
    first: int = 0
    last: int = NEVER
    variants: tuple[Variant, ...] = ()
    message_class: str = "marketing"


_EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
_CALENDAR = (
    Campaign("email_news", "News by email", "email", "information", (1,), 1, hour=9),
    Campaign("email_offer", "Offers by email", "email", "sale", (3,), 2, hour=17, variants=(
        Variant("A"), Variant("B", 1.35, 1.20))),
    Campaign("email_deal", "Deal of the day by email", "email", "sale", (0, 2, 5), 3, hour=7),
    Campaign("email_comeback", "We miss you", "email", "reactivation", (6,), 2, "asleep", 11, variants=(
        Variant("plain"), Variant("coupon", 1.20, 1.50))),
    Campaign("sms_offer", "Offers by sms", "sms", "sale", (4,), 2, hour=12, first=25),
    Campaign("sms_last_call", "Last call by sms", "sms", "sale", (6,), 3, hour=18),
    Campaign("push_news", "News by push", "push", "information", (2,), 1, hour=12, variants=(
        Variant("A"), Variant("B", 0.75, 1.0))),
    Campaign("push_offer", "Offers by push", "push", "sale", (0, 4), 2, hour=18, first=10),
    Campaign("push_deal", "Deal of the day by push", "push", "sale", _EVERY_DAY, 3, hour=8),
    Campaign("web_push_offer", "Offers by web push", "web_push", "sale", (4,), 1, hour=15, variants=(
        Variant("A"), Variant("B", 1.25, 1.0))),
    Campaign("in_app_tip", "Tips in the app", "in_app", "information", (0, 3, 6), 2, "awake", 10),
    Campaign("whatsapp_news", "News by WhatsApp", "whatsapp", "information", (3,), 1, hour=13, first=35),
    Campaign("telegram_offer", "Offers by Telegram", "telegram", "sale", (4,), 0, hour=16, first=40),
    Campaign("viber_offer", "Offers by Viber", "viber", "sale", (5,), 0, hour=16, first=45),
    Campaign("voice_survey", "Survey by phone", "voice", "survey", (2,), 2, "buyers", 14, first=50),
)  # fmt: skip
#: Messages of these campaigns follow from what people do, whatever the plan says.
TRIGGERED = (
    Campaign("order_confirmation", "Order confirmation", "email", "order", (), 0, message_class="transactional"),
    Campaign("order_shipped", "Your order is on its way", "sms", "order", (), 0, message_class="transactional"),
    Campaign("account_notice", "About your account", "email", "account", (), 0, message_class="service"),
)


def _calendar(days: int) -> tuple[Campaign, ...]:
    """The calendar, with a campaign a month for everybody."""
    seasons = []
    for number, first in enumerate(range(0, days, 30), start=1):
        channel = ("email", "push", "email", "sms")[number % 4]
        seasons.append(
            Campaign(
                f"season_{number}",
                f"Season {number}",
                channel,
                "sale",
                (number % 7,),
                0,
                hour=10,
                first=first,
                last=first + 14,
                variants=(Variant("A"), Variant("B", 1.15, 1.10)) if number % 2 else (),
            )
        )
    return (*_CALENDAR, *seasons)


def _settling(settled: float, by_week: float, weeks: int) -> tuple[float, ...]:
    """Factors of the rate of visits by weeks awake: from 1 towards ``settled``."""
    novelty, factors = 1.0, []
    for _ in range(weeks):
        factors.append(settled + (1 - settled) * novelty)
        novelty *= by_week
    return tuple(factors)


@dataclass(frozen=True)
class Parameters:
    """The size, the days and the seed of a world, and what holds for everybody in it."""

    users: int = 2000
    days: int = 180
    seed: int = 1
    last_day: date = date(2026, 6, 30)
    #: 0: every row is good; 1: bad rows, duplicates and broken files in the sample's share.
    dirt: float = 1.0
    #: Share of the calendar's marketing that another team sends, whatever the plan says.
    others: float = 0.0

    kinds: tuple[Kind, ...] = KINDS
    channels: tuple[Channel, ...] = CHANNELS

    # people
    #: People came, and ordered, over so many days before the first.
    past_days: int = 720
    #: Devices that never belong to anybody, by person, and their visits a day.
    strangers: float = 0.12
    stranger_visits: float = 0.012
    #: Multiples of a kind's rate of visits, and of orders by visit, and how many people have each.
    visit_spread: tuple[tuple[float, int], ...] = ((0.3, 1), (0.6, 1), (1.0, 2), (1.6, 1), (2.2, 1))
    buy_spread: tuple[tuple[float, int], ...] = ((0.2, 3), (0.5, 4), (0.8, 4), (1.0, 4), (1.5, 3), (2.5, 2), (4.0, 1))
    #: Sizes of baskets (small, usual, large).
    basket_weights: tuple[int, ...] = (35, 50, 15)
    #: How many marketing lists people are on: at each level they get more of the calendar.
    levels: tuple[int, ...] = (64, 22, 9, 5)
    #: Share of visits to a favourite category; the others go to any category.
    favourite_share: float = 0.6
    #: Visits by day of the week, Monday first.
    weekday_visits: tuple[float, ...] = (1.0, 0.95, 0.95, 1.0, 1.05, 1.15, 1.1)
    #: Chance of a second visit on a day with one.
    visits_again: float = 0.12
    #: Rate of visits by weeks since the person came or woke: the shop becomes a habit.
    settling: tuple[float, ...] = _settling(0.55, 0.8, 26)
    #: Share of people of before who are awake on the first day.
    awake_at_start: float = 0.6
    #: Orders by visit in the three months around a person's season, and outside them.
    in_season: float = 1.8
    off_season: float = 0.75

    # identity
    #: Share of people who come anonymously up to 5 days before they sign up.
    comes_before_signup: float = 0.3
    #: Share of people whose devices are linked by a row of identities; others by an event with both ids.
    links: float = 0.55
    logs_in: float = 0.8
    #: Chance that a visit by somebody logged in also carries the device.
    both_ids: float = 0.5
    #: Share of people who use the web on the device of the person before them in the list.
    shared_devices: float = 0.04
    shared_mailboxes: float = 0.02
    shared_phones: float = 0.02
    #: Share of people whose browser forgets them once, so that they get another anonymous id.
    new_cookies: float = 0.15
    has_app: float = 0.45
    has_phone: float = 0.65
    uninstalls: float = 0.06
    #: Share of people whose profile changes once during the days.
    profile_changes: float = 0.15
    #: Share of consents that are withdrawn by themselves during the days, and of those granted again a day later.
    withdraws: float = 0.04
    grants_again: float = 0.25
    #: Share of tokens and chat ids that become invalid, and of those renewed at once.
    token_ends: float = 0.08
    token_renewed: float = 0.5
    #: Share of people who ask to be erased, and of those who go on as new users.
    erasures: float = 0.004
    goes_on: float = 0.4
    #: Chance a day of a service message.
    notices: float = 0.0004

    # subscriptions
    subscribers: float = 0.12
    yearly_plans: float = 0.35
    turns_off_renewal: float = 0.0015
    asks_to_cancel: float = 0.0015
    subscribes_again: float = 0.010

    # reactions
    #: A person's taste for a channel multiplies its opens (clicks where opens can't be seen).
    tastes: tuple[tuple[float, int], ...] = ((0.1, 15), (0.5, 25), (1.0, 35), (1.7, 25))
    #: Opens of awake, asleep and gone people, as parts of those of awake ones.
    attention: tuple[float, float, float] = (1.0, 0.6, 0.1)
    #: Share of people whose mail program opens messages by itself, how often it does, and clicks by machines.
    machine_openers: float = 0.25
    machine_opens: float = 0.8
    machine_clicks: float = 0.002
    dead_mailboxes: float = 0.03
    soft_bounces_arrive: float = 0.5
    #: Clicks that lead to a visit, and what that visit multiplies the chance of an order by.
    click_visits: float = 0.85
    click_buys: float = 1.4
    #: Chance that a click wakes a sleeper, for how many days, and the rate of visits meanwhile.
    click_wakes: float = 0.3
    woken_days: int = 10
    woken_visits: float = 0.15
    #: Effect of a variant that the calendar does not know, by its name (a plan's own campaigns).
    plan_variants: tuple[Variant, ...] = (Variant("A"), Variant("B", 1.25, 1.10))

    # too many contacts
    #: Multiples of the daily chances of leaving a channel, and how many people have each: a heavy right tail.
    sensitivities: tuple[tuple[float, int], ...] = ((0.2, 40), (0.8, 35), (1.6, 18), (6.0, 7))
    #: The chance of leaving grows by so much with each contact of the 7 days beyond ``free_contacts``.
    growth_per_contact: float = 0.35
    free_contacts: int = 2
    #: Clicks become fewer by this part with each contact of the 7 days beyond ``free_contacts``, down to ``least``.
    fewer_clicks: float = 0.05
    least_clicks: float = 0.4
    #: Leaving somebody whom nobody asked is so much easier to decide.
    unasked: float = 3.0
    #: So many days after somebody left a channel the calendar still sends on it.
    respect_delay_days: int = 1
    #: Share of unsubscribes that the provider also writes into the consents.
    logs_withdrawal: float = 0.7
    #: Share of unsubscribes taken back, after 20 to 60 days.
    comes_back: float = 0.08
    #: How push is switched off: consent withdrawn, address invalid, app removed (web push: address invalid).
    switch_off_ways: tuple[int, int, int] = (5, 3, 2)

    # logs
    #: Share of visits whose events arrive late: half a day to 3 days.
    late_visits: float = 0.03
    #: Share of messages whose log arrives late, with its events: 1 to 3 days.
    late_messages: float = 0.05
    #: What the shop sends by itself; the default has a campaign a month beside those of every week.
    calendar: tuple[Campaign, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.calendar:
            object.__setattr__(self, "calendar", _calendar(self.days))

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

    @cached_property
    def growth(self) -> tuple[float, ...]:
        """What the chance of leaving is multiplied by, by contacts of the 7 days (the last entry: and more)."""
        return tuple(1 + self.growth_per_contact * max(0, count - self.free_contacts) for count in range(41))

    @cached_property
    def click_fatigue(self) -> tuple[float, ...]:
        """What the chance of a click is multiplied by, by contacts of the 7 days (the last entry: and more)."""
        return tuple(
            max(self.least_clicks, 1 - self.fewer_clicks * max(0, count - self.free_contacts)) for count in range(41)
        )

    @cached_property
    def campaigns(self) -> tuple[Campaign, ...]:
        """The campaigns of the calendar and the triggered ones."""
        return (*self.calendar, *TRIGGERED)
