"""The people: who they are, how they can be reached, what they agreed to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from data.simulator.catalogue import CATEGORIES
from data.simulator.draws import Draws, Flags, Floats, Ints
from data.simulator.parameters import CHANNELS, DAY, KINDS, TRAFFIC, Parameters
from data.simulator.rows import Record, Row, Tables, row

# country, weight, time zone, language, currency (None: that of the business), cities with their regions
_COUNTRIES = (
    (
        "FR",
        34,
        "Europe/Paris",
        "fr",
        None,
        (("Paris", "Île-de-France"), ("Saint-Étienne", "Loire"), ("Lille", "Nord")),
    ),
    (
        "DE",
        22,
        "Europe/Berlin",
        "de",
        "EUR",
        (("Berlin", "Berlin"), ("München", "Bayern"), ("Köln", "Nordrhein")),
    ),
    (
        "GB",
        20,
        "Europe/London",
        "en",
        "GBP",
        (("London", "England"), ("Leeds", "England"), ("Cardiff", "Wales")),
    ),
    ("US", 14, "America/New_York", "en", "USD", (("Boston", "MA"), ("New York", "NY"), ("Chicago", "IL"))),
    ("CA", 4, "America/Toronto", "fr", "USD", (("Montréal", "QC"), ("Ottawa", "ON"))),
    ("ES", 6, "Europe/Madrid", "es", "EUR", (("Madrid", "Madrid"), ("Bilbao", "Euskadi"))),
)
_NO_RESERVED_NUMBERS = 5  # Spain reserves no phone numbers for fiction
_FIRST_NAMES = (
    "Ada", "Ben", "Chloé", "Dana", "Emil", "Fatou", "Gül", "Hugo", "Inès", "Jonas", "Kim", "Léa",
    "Marta", "Noah", "Olga", "Paul", "Rosa", "Sami", "Tess", "Uma", "Zoé",
)  # fmt: skip
_LAST_NAMES = (
    "Adler", "Brown", "Costa", "Dubois", "Evans", "Fischer", "García", "Hill", "Ito", "Jansen",
    "Klein", "Leroy", "Moreau", "Novak", "Okafor", "Petit",
)  # fmt: skip
_GENDERS = ("female", "male", "other", None)
_INCOMES = ("low", "middle", "high", None)
_EDUCATION = ("school", "vocational", "university", None)
_OCCUPATIONS = ("student", "employee", "self-employed", "retired", None)
_VALUES = ("price", "quality", "ecology", "local", "novelty")
_EMAIL_DOMAINS = ("example.com", "example.org", "example.net")
_GRANTS = ("granted", "granted", "opt_in", "subscribed")
_WITHDRAWALS = ("withdrawn", "withdrawn", "opt_out", "unsubscribed")
_CHANNEL = {name: number for number, name in enumerate(CHANNELS)}


@dataclass(frozen=True)
class People:
    """One entry a person in every array; ``consents`` has a row a channel."""

    kind: Ints
    created: Ints
    country: Ints
    platform: Ints  # 0 none, 1 ios, 2 android
    visit_rate: Floats
    buy_rate: Floats
    favourite: Ints
    season: Ints
    pressure: Floats
    opens: Floats
    machine_opens: Flags
    email_is_dead: Flags
    consents: Flags
    reachable: Flags

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self.kind)


def user_id(number: int) -> str:
    """The id of a person by number."""
    return f"u{number:05d}"


def anonymous_id(number: int, is_app: bool) -> str:
    """The id of a person's device; a few people share one with their neighbour in the list."""
    if number % 41 == 1 and not is_app:
        number -= 1
    return f"{'app' if is_app else 'web'}-{number:05d}"


def currency_of(country: int) -> str | None:
    """The currency in which people of a country pay; None: not given, so that of the business."""
    return _COUNTRIES[country][4]


def make_people(parameters: Parameters) -> People:
    """Draw everything about everybody."""
    draws = Draws(parameters.seed, "people")
    size = parameters.users
    kind = np.sort(draws.choose([k.weight for k in KINDS], size))
    kind = kind[np.argsort(draws.uniform(size), kind="stable")]
    low = np.asarray([k.age[0] for k in KINDS])[kind]
    high = np.asarray([k.age[1] for k in KINDS])[kind]
    age = low + draws.below(high - low + 1, size)
    created = parameters.end - (age + 1) * DAY + draws.below(DAY, size)
    spread = np.asarray([0.3, 0.6, 1.0, 1.0, 1.6, 2.4])[draws.below(6, size)]
    taste = np.asarray([0.2, 0.5, 0.8, 1.0, 1.5, 2.5, 4.0])[draws.choose([3, 4, 4, 4, 3, 2, 1], size)]
    platform = np.where(draws.happens(0.45, size), 1 + draws.below(2, size), 0)
    reachable = np.ones((len(TRAFFIC), size), dtype=bool)
    reachable[_CHANNEL["email"]] = draws.happens(0.93, size)
    country = draws.choose([c[1] for c in _COUNTRIES], size)
    has_phone = draws.happens(0.65, size) & (country != _NO_RESERVED_NUMBERS)
    for channel in ("sms", "whatsapp", "voice"):
        reachable[_CHANNEL[channel]] = has_phone
    reachable[_CHANNEL["push"]] = platform > 0
    reachable[_CHANNEL["in_app"]] = platform > 0
    reachable[_CHANNEL["web_push"]] = draws.happens(0.4, size)
    reachable[_CHANNEL["telegram"]] = draws.happens(0.07, size)
    reachable[_CHANNEL["viber"]] = draws.happens(0.07, size)
    consents = np.stack([draws.happens(traffic.consent, size) for traffic in TRAFFIC])
    return People(
        kind=kind,
        created=created,
        country=country,
        platform=platform,
        visit_rate=np.asarray([k.visits for k in KINDS])[kind] * spread,
        buy_rate=np.asarray([k.buys for k in KINDS])[kind] * taste,
        favourite=draws.below(len(CATEGORIES), size),
        season=1 + draws.below(12, size),
        pressure=np.asarray([0.3, 0.8, 1.0, 2.5])[draws.choose([2, 4, 4, 2], size)],
        opens=np.asarray([0.0, 0.4, 1.0, 1.8])[draws.choose([2, 3, 4, 2], size)],
        machine_opens=draws.happens(0.25, size),
        email_is_dead=draws.happens(0.03, size),
        consents=consents,
        reachable=reachable,
    )


def _phone(country: str, number: int, style: int) -> str | None:
    """A number from a range that is reserved for fiction; one in five as it is written at home."""
    if country == "FR":
        line = f"{number % 100:02d} {number // 100 % 100:02d}"
        mobile = number % 5 == 0
        home = f"06 39 98 {line}" if mobile else f"01 99 00 {line}"
        return home if style == 0 else f"+33{home.replace(' ', '')[1:]}"
    if country == "DE":
        home = f"030 23125 {number % 1000:03d}" if number % 3 else f"0171 39200 {number % 100:02d}"
        return home if style == 0 else f"+49{home.replace(' ', '')[1:]}"
    if country == "GB":
        home = f"07700 900{number % 1000:03d}" if number % 4 == 0 else f"020 7946 0{number % 1000:03d}"
        return home if style == 0 else f"+44 {home[1:]}"
    if country in ("US", "CA"):
        area = ("202", "212", "312", "617")[number % 4] if country == "US" else "613"
        line = f"01{number // 4 % 100:02d}"
        return f"({area}) 555-{line}" if style == 0 else f"+1{area}555{line}"
    return None


def _profiles(parameters: Parameters, people: People) -> list[Row]:
    """One profile a person, in the order of their numbers."""
    draws = Draws(parameters.seed, "profiles")
    size = people.count
    dice = draws.uniform(14, size).tolist()
    created = people.created.tolist()
    profiles = []
    for number in range(size):
        luck = [column[number] for column in dice]
        country, _, zone, language, _, cities = _COUNTRIES[people.country[number]]
        first = _FIRST_NAMES[int(luck[0] * len(_FIRST_NAMES))]
        last = _LAST_NAMES[int(luck[1] * len(_LAST_NAMES))]
        city, region = cities[int(luck[2] * len(cities))]
        born = date(1944, 1, 1) + timedelta(days=int(luck[3] * 365 * 68))
        # Every 61st person reads the mail of the neighbour: one address, two users.
        mailbox = number - 1 if number % 61 == 60 else number
        email = f"reader{mailbox:05d}@{_EMAIL_DOMAINS[mailbox % 3]}"
        if number % 23 == 0:
            email = email.replace("reader", "Reader").replace("example", "Example")
        has_phone = people.reachable[_CHANNEL["sms"]][number]
        favourite = CATEGORIES[people.favourite[number]].lower()
        second = CATEGORIES[int(luck[4] * len(CATEGORIES))].lower()
        profiles.append(
            row(
                user_id=user_id(number),
                email=email if people.reachable[0][number] else None,
                phone=_phone(country, int(luck[5] * 10_000), number % 5) if has_phone else None,
                first_name=first if luck[6] < 0.9 else None,
                last_name=last if luck[6] < 0.85 else None,
                birth_date=born.isoformat() if luck[7] < 0.55 else None,
                gender=_GENDERS[int(luck[8] * 4)],
                country=country if luck[9] < 0.95 else None,
                region=region if luck[9] < 0.7 else None,
                city=city if luck[9] < 0.75 else None,
                timezone=zone if luck[9] < 0.8 else None,
                language=language if luck[9] < 0.9 else None,
                income_band=_INCOMES[int(luck[10] * 4)],
                education=_EDUCATION[int(luck[11] * 4)],
                occupation=_OCCUPATIONS[int(luck[12] * 5)],
                household_size=1 + int(luck[13] * 6) if luck[13] < 0.7 else None,
                interests=list(dict.fromkeys((favourite, second))) if luck[4] < 0.5 else None,
                values=[_VALUES[int(luck[3] * 5)]] if luck[12] < 0.4 else None,
                created_at=created[number] if number % 50 else None,
                installed_at=created[number] + 600 if people.platform[number] and number % 3 else None,
                updated_at=created[number] if number % 50 else None,
            )
        )
    return profiles


def people_tables(parameters: Parameters, people: People) -> Tables:
    """Users and everything that belongs to their profile."""
    draws = Draws(parameters.seed, "belongings")
    profiles = _profiles(parameters, people)
    users: list[Record] = [(parameters.start, profile) for profile in profiles]
    for number in np.flatnonzero(draws.happens(0.04, people.count)).tolist():
        moved = parameters.end - DAY + 3600 + number
        if people.created[number] < moved:
            change = {**profiles[number], "city": "Lyon", "region": "Rhône", "updated_at": moved}
            users.append((parameters.end - 1, change))
    return {
        "users": users,
        "identities": _identities(parameters, people, draws),
        "addresses": _addresses(parameters, people, draws),
        "consents": _consents(parameters, people, draws),
        "subscriptions": _subscriptions(parameters, people, draws),
        "erasures": _erasures(parameters, people),
    }


def _identities(parameters: Parameters, people: People, draws: Draws) -> list[Record]:
    """Links of devices to people; people without one are linked by an event that has both ids."""
    records: list[Record] = []
    linked = np.flatnonzero(draws.happens(0.55, people.count) & (people.visit_rate > 0)).tolist()
    for number in linked:
        at = int(people.created[number]) + 120
        for is_app in (False, True) if people.platform[number] else (False,):
            link = row(
                anonymous_id=anonymous_id(number, is_app),
                user_id=user_id(number),
                linked_at=at if number % 40 else None,
            )
            records.append((at, link))
    return records


def _addresses(parameters: Parameters, people: People, draws: Draws) -> list[Record]:
    """Push tokens and chat ids; some are invalid by now, some were replaced."""
    records: list[Record] = []
    for channel in ("push", "web_push", "telegram", "viber"):
        has_one = np.flatnonzero(people.reachable[_CHANNEL[channel]])
        codes = draws.below(10**9, len(has_one)).tolist()
        fate = draws.uniform(len(has_one)).tolist()
        for number, code, luck in zip(has_one.tolist(), codes, fate, strict=True):
            at = int(people.created[number]) + 900
            address = str(code) if channel in ("telegram", "viber") else f"{channel}:{code:09d}"
            active = row(user_id=user_id(number), channel=channel, address=address, status="active", updated_at=at)
            records.append((at, active))
            if luck < 0.06:
                later = at + int((parameters.end - at) * luck * 16)
                records.append((later, {**active, "status": "invalid", "updated_at": later}))
                if luck < 0.02:
                    renewed = {**active, "address": f"{address}b", "updated_at": later + 60}
                    records.append((later + 60, renewed))
    return records


def _consents(parameters: Parameters, people: People, draws: Draws) -> list[Record]:
    """The consents given at the start; those withdrawn because of a message are in ``messages``."""
    records: list[Record] = []
    for channel, name in enumerate(CHANNELS):
        given = np.flatnonzero(people.consents[channel] & people.reachable[channel]).tolist()
        wording = draws.below(len(_GRANTS), len(given)).tolist()
        fate = draws.uniform(len(given)).tolist()
        for number, word, luck in zip(given, wording, fate, strict=True):
            at = int(people.created[number]) + 30
            who = {"user_id": user_id(number), "channel": name}
            grant = row(
                **who,
                status=_GRANTS[word],
                source=("signup", "import")[at < parameters.start],
                occurred_at=at,
            )
            records.append((at, grant))
            if luck < 0.04:
                later = at + int((parameters.end - at) * luck * 20) + 60
                left = row(**who, status=_WITHDRAWALS[word], source="preferences", occurred_at=later)
                records.append((later, left))
                if luck < 0.01:
                    back = row(**who, status="opt_in", source="preferences", occurred_at=later + DAY)
                    records.append((later + DAY, back))
    return records


def _subscriptions(parameters: Parameters, people: People, draws: Draws) -> list[Record]:
    """Plans by the month and by the year; some cancelled, some over."""
    records: list[Record] = []
    chosen = np.flatnonzero(draws.happens(0.12, people.count) & (people.created < parameters.end - 30 * DAY)).tolist()
    fate = draws.uniform(2, len(chosen)).tolist()
    for number, luck, timing in zip(chosen, *fate, strict=True):
        yearly = luck < 0.4
        started = int(people.created[number]) + DAY + int(timing * 20) * DAY
        period = 365 * DAY if yearly else 30 * DAY
        renews = started + ((parameters.end - started) // period + 1) * period
        first = row(
            subscription_id=f"s{number:05d}",
            user_id=user_id(number),
            plan="yearly" if yearly else "monthly",
            started_at=started,
            renews_at=renews,
            auto_renew=luck * 10 % 1 < 0.8,
            updated_at=started,
        )
        records.append((started, first))
        if timing < 0.25:
            asked = max(started + DAY, parameters.end - int(timing * 300) * DAY - DAY // 2)
            change = {**first, "auto_renew": False, "cancel_requested_at": asked, "updated_at": asked}
            if timing < 0.12:
                change["ended_at"] = asked + 5 * DAY
            records.append((asked, change))
    return records


def _erasures(parameters: Parameters, people: People) -> list[Record]:
    """Three people who asked to be erased: the first goes on as a new user."""
    long_known = np.flatnonzero(people.visit_rate > 0.1)
    records: list[Record] = []
    for number, days in zip(long_known[[3, 7, 11]].tolist(), (60, 20, 2), strict=True):
        asked = parameters.end - days * DAY - DAY // 3
        records.append((asked, row(user_id=user_id(number), requested_at=asked)))
    return records
