"""What tables of codes stand for: SQL that turns each into the columns of the raw contract, and of the truth."""

from __future__ import annotations

from collections.abc import Sequence

from data.simulator import catalogue, messages, orders, profiles
from data.simulator.messages import OWN, SENDGRID
from data.simulator.names import Names
from data.simulator.parameters import CHANNEL_NAMES, Parameters
from data.simulator.people import DEVICES, STATES

_SHOP = "https://shop.example.com"


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def case(code: str, texts: Sequence[str | None], first: int = 0) -> str:
    """SQL for a text by its code, null for other codes."""
    given = [(number, text) for number, text in enumerate(texts, start=first) if text is not None]
    whens = " ".join(f"when {number} then {quoted(text)}" for number, text in given)
    return f"case {code} {whens} end" if given else "null::varchar"


def entry(code: str, texts: Sequence[str]) -> str:
    """SQL for a text by its code, as :func:`case`: slower by row, but quicker to plan where there are many texts."""
    return f"[{', '.join(map(quoted, texts))}][({code}) + 1]"


def time(column: str) -> str:
    """SQL for a time given in seconds; -1 is none."""
    return f"case when {column} >= 0 then make_timestamp({column} * 1000000) end"


def money(column: str) -> str:
    """SQL for an amount given in cents; -1 is none."""
    return f"case when {column} >= 0 then ({column} / 100)::decimal(12, 2) end"


class Relations:
    """SQL by dataset that reads codes from a relation called ``rows``."""

    def __init__(self, parameters: Parameters, names: Names) -> None:
        self._parameters = parameters
        self._names = names

    def user(self, column: str = '"user"') -> str:
        """SQL for the id of a user, null for -1."""
        return f"case when {column} >= 0 then 'u' || ({self._names.user_base} + {column}) end"

    def device(self, column: str = "device") -> str:
        """SQL for an anonymous id, null for -1."""
        kind = case(f"{column} % {DEVICES}", ("web-", "app-", "web2-", "guest-"))
        return f"case when {column} >= 0 then ({kind}) || ({self._names.user_base} + {column} // {DEVICES}) end"

    def _product(self) -> str:
        return "case when product >= 0 then 'p' || (100 + product) end"

    def _campaign(self, column: str = "campaign") -> str:
        return case(column, self._names.campaigns)

    def _order(self, column: str = "number") -> str:
        return f"case when {column} >= 0 then case when is_caused = 1 then 'q' else 'o' end || (100000 + {column}) end"

    def select(self, dataset: str) -> str:
        """The columns of a dataset in the order of the contract, typed, from the codes in ``rows``."""
        columns: dict[str, str] = getattr(self, f"_{dataset}")()
        return "select " + ", ".join(f'{sql} as "{name}"' for name, sql in columns.items()) + " from rows"

    def _events(self) -> dict[str, str]:
        prefix = "case when is_caused = 1 then 'c' else 'e' end"
        visit = "case when is_caused = 1 then 'w' else 'v' end"
        currencies = sorted({country.currency or "" for country in catalogue.COUNTRIES})
        source = f"""'{{"utm_medium":"' || {case("channel", CHANNEL_NAMES)} || '","utm_campaign":"' || """
        return {
            "event_id": f"{prefix} || (1000000 + number)",
            "user_id": self.user(),
            "anonymous_id": self.device(),
            "event": case("event", catalogue.EVENTS),
            "timestamp": 'make_timestamp("at" * 1000000)',
            "received_at": time("received"),
            "platform": case("platform", catalogue.PLATFORMS),
            "session_id": f"case when session >= 0 then {visit} || (100000 + session) end",
            "product_id": self._product(),
            "category": case("category", catalogue.CATEGORIES),
            "order_id": self._order('"order"'),
            "value": money("value"),
            "currency": case("currency", [currency or None for currency in currencies]),
            "properties": f"""case when search >= 0 then '{{"query":"' || {case("search", catalogue.SEARCHES)} || '"}}'
                when campaign >= 0 then {source}{self._campaign()} || '"}}' end""",
        }

    def _orders(self) -> dict[str, str]:
        currency = case("currency", [country.currency for country in catalogue.COUNTRIES])
        return {
            "order_id": self._order(),
            "user_id": self.user(),
            "ordered_at": 'make_timestamp("at" * 1000000)',
            "status": case("status", orders.STATUSES),
            "gross_amount": money("gross"),
            "discount_amount": money("discount"),
            "refunded_amount": money("refunded"),
            "shipping_amount": money("shipping"),
            "tax_amount": money("tax"),
            "currency": f"case currency when {orders.UNKNOWN_CURRENCY} then 'XTS' else {currency} end",
            "coupon": "case when discount >= 0 then 'TENOFF' end",
            "updated_at": time("updated"),
        }

    def _order_items(self) -> dict[str, str]:
        return {
            "order_id": self._order(),
            "line_number": "line",
            "product_id": self._product(),
            "category": case("category", catalogue.CATEGORIES),
            "quantity": "quantity",
            "unit_price": money("price"),
        }

    def _users(self) -> dict[str, str]:
        places = catalogue.COUNTRIES
        cities = [city for place in places for city, _ in place.cities]
        regions = [region for place in places for _, region in place.cities]
        offsets = [sum(len(place.cities) for place in places[:number]) for number in range(len(places))]
        living = "case country " + " ".join(f"when {n} then {o} + city" for n, o in enumerate(offsets)) + " end"
        living = f"case when city >= 0 then {living} end"
        reader = "case when \"user\" % 23 = 0 then 'Reader' else 'reader' end"
        domain = case(f"mailbox % {len(catalogue.EMAIL_DOMAINS)}", catalogue.EMAIL_DOMAINS)
        other = case("nullif(second_interest, interest)", [name.lower() for name in catalogue.CATEGORIES])
        interest = case("interest", [name.lower() for name in catalogue.CATEGORIES])
        interests = f"list_filter([{interest}, {other}], lambda v: v is not null)"
        values = case('"value"', catalogue.VALUES)
        created = "nullif(created, -1)"
        base = self._names.user_base
        return {
            "user_id": self.user(),
            "email": f"case when mailbox >= 0 then {reader} || ({base} + mailbox) || '@' || {domain} end",
            "phone": self._phone(),
            "first_name": case("first_name", catalogue.FIRST_NAMES),
            "last_name": case("last_name", catalogue.LAST_NAMES),
            "birth_date": "case when born > -100000 then date '1970-01-01' + born::integer end",
            "gender": case("gender", catalogue.GENDERS),
            "country": case("country", [place.code for place in places]),
            "region": case(living, regions),
            "city": case(living, cities),
            "timezone": f"case when says_zone = 1 then {case('country', [place.time_zone for place in places])} end",
            "language": f"case when says_language = 1 then {case('country', [place.language for place in places])} end",
            "income_band": case("income", catalogue.INCOMES),
            "education": case("education", catalogue.EDUCATIONS),
            "occupation": case("occupation", catalogue.OCCUPATIONS),
            "household_size": "nullif(household, -1)",
            "interests": f"case when interest >= 0 then {interests} end",
            "values": f'case when "value" >= 0 then [{values}] end',
            "created_at": f"make_timestamp({created} * 1000000)",
            "installed_at": f"""case when has_app = 1 and "user" % 3 > 0
                then make_timestamp(({created} + 600) * 1000000) end""",
            "updated_at": time("updated"),
        }

    def _phone(self) -> str:
        """SQL for a telephone number of the ranges for fiction, as it is written at home or abroad."""
        whens = []
        for code, place in enumerate(catalogue.COUNTRIES):
            if not place.blocks:
                continue
            size = 10**place.digits
            line = f"lpad((phone % {size})::varchar, {place.digits}, '0')"
            home = f"{quoted(place.trunk)} || {entry(f'phone // {size}', place.blocks)} || {self._gap(place)} || {line}"
            digits = ["".join(c for c in block if c.isdigit()) for block in place.blocks]
            abroad = f"{quoted('+' + place.dial)} || {entry(f'phone // {size}', digits)} || {line}"
            whens.append(f"when {code} then case when phone_is_home = 1 then {home} else {abroad} end")
        return f"case when phone >= 0 then case phone_country {' '.join(whens)} end end"

    @staticmethod
    def _gap(place: catalogue.Country) -> str:
        """Blocks that end within a group of digits are followed by the line at once."""
        return "' '" if place.digits == 4 else "''"

    def _identities(self) -> dict[str, str]:
        return {"anonymous_id": self.device(), "user_id": self.user(), "linked_at": time("linked")}

    def _addresses(self) -> dict[str, str]:
        channel = case("channel", CHANNEL_NAMES)
        renewed = "case when is_renewed = 1 then 'b' else '' end"
        return {
            "user_id": self.user(),
            "channel": channel,
            "address": f"""case when {channel} in ('telegram', 'viber') then '' else {channel} || ':' end
                || lpad(token::varchar, 9, '0') || {renewed}""",
            "status": case("is_active", ("invalid", "active")),
            "updated_at": 'make_timestamp("at" * 1000000)',
        }

    def _consents(self) -> dict[str, str]:
        return {
            "user_id": self.user(),
            "channel": case("channel", CHANNEL_NAMES),
            "status": case("word", profiles.CONSENT_WORDS),
            "source": case("source", profiles.SOURCES),
            "occurred_at": 'make_timestamp("at" * 1000000)',
        }

    def _messages(self) -> dict[str, str]:
        providers = [channel.providers for channel in self._parameters.channels]
        most = max(len(names) for names in providers)
        known = {
            channel * most + number: name
            for channel, names in enumerate(providers)
            for number, name in enumerate(names)
        }
        listed = [known.get(code) for code in range(len(providers) * most)]
        labels = " ".join(f"when {code} then {list(texts)!r}" for code, texts in enumerate(messages.LABELS))
        provider = case(f"channel::integer * {most} + provider", listed)
        return {
            "message_id": "'m' || (1000000 + number)",
            "user_id": self.user(),
            "channel": case("channel", CHANNEL_NAMES),
            "provider": f"case provider when {SENDGRID} then 'sendgrid' when {OWN} then 'own' else {provider} end",
            "campaign_id": self._campaign(),
            "variant": case("variant", self._names.variants),
            # Brevo's log has no classes: without one a message is marketing.
            "message_class": f"""case when {provider} = 'brevo' and message_class = 0 and provider >= 0 then null
                else {case("message_class", messages.MESSAGE_CLASSES)} end""",
            "labels": f"case labels {labels} end",
            "sent_at": 'make_timestamp("at" * 1000000)',
        }

    def _message_events(self) -> dict[str, str]:
        return {
            "event_id": "'r' || (1000000 + number)",
            "message_id": "'m' || (1000000 + message)",
            "event": case("event", messages.REACTIONS),
            "occurred_at": 'make_timestamp("at" * 1000000)',
            "is_machine": "case is_machine when 1 then true end",
            "is_machine_open": "case is_machine_open when 1 then true end",
            "bounce_type": case("bounce_type", messages.BOUNCE_TYPES),
            "link_url": f"case when link >= 0 then '{_SHOP}/' || {self._campaign('link')} end",
        }

    def _campaigns(self) -> dict[str, str]:
        known = self._parameters.campaigns
        renamed = "case when is_later = 1 then ' (revised)' else '' end"
        return {
            "campaign_id": self._campaign(),
            "name": f"{case('campaign', [campaign.name for campaign in known])} || {renamed}",
            "channel": case("campaign", [campaign.channel for campaign in known]),
            "objective": case("campaign", [campaign.objective for campaign in known]),
            "message_class": case("campaign", [campaign.message_class for campaign in known]),
            "starts_at": time("starts"),
            "ends_at": time("ends"),
            "updated_at": time("updated"),
        }

    def _products(self) -> dict[str, str]:
        names = [
            f"{adjective} {category.lower()} set"
            for category in catalogue.CATEGORIES
            for adjective in catalogue.ADJECTIVES
        ]
        names = [f'{name}, "new edition"' if number % 17 == 3 else name for number, name in enumerate(names)]
        return {
            "product_id": self._product(),
            "name": entry("product", names),
            "category": case(f"product // {catalogue.PER_CATEGORY}", catalogue.CATEGORIES),
            "price": money("price"),
            "updated_at": 'make_timestamp("at" * 1000000)',
        }

    def _subscriptions(self) -> dict[str, str]:
        return {
            "subscription_id": f"'s' || ({self._names.user_base} + \"user\")",
            "user_id": self.user(),
            "plan": case("is_yearly", ("monthly", "yearly")),
            "started_at": "make_timestamp(started * 1000000)",
            "renews_at": "make_timestamp(renews * 1000000)",
            "auto_renew": "auto = 1",
            "cancel_requested_at": time("asked"),
            "ended_at": time("ended"),
            "updated_at": time("updated"),
        }

    def _erasures(self) -> dict[str, str]:
        return {"user_id": self.user(), "requested_at": 'make_timestamp("at" * 1000000)'}

    def states(self) -> str:
        """Truth: who was awake, asleep or gone from when until when (half-open; null: still)."""
        first = quoted(self._parameters.first_day.isoformat())
        return f"""select {self.user()} as user_id, {case("state", STATES)} as state,
            date {first} + day::integer as "from",
            date {first} + lead(day) over (partition by "user" order by day)::integer as "to"
            from rows order by "user", day"""

    def contacts(self) -> str:
        """Truth: each contact, the week's contacts, and the chance with which its day made the person leave."""
        first = quoted(self._parameters.first_day.isoformat())
        return f"""select 'm' || (1000000 + message) as message_id, {self.user()} as user_id,
            {case("channel", CHANNEL_NAMES)} as channel, date {first} + day::integer as contact_date,
            contacts as contacts_7d, case when chance >= 0 then chance end as leave_chance,
            {case("way", ("stays", "unsubscribes", "complains", "switches_off"))} as outcome from rows"""
