"""Products and campaigns of the simulated shop."""

from __future__ import annotations

from dataclasses import dataclass

from data.simulator.draws import Draws
from data.simulator.parameters import CHANNELS, DAY, TRAFFIC, Parameters
from data.simulator.rows import Record, row

CATEGORIES = ("Coffee", "Tea", "Kitchen", "Bakery", "Garden", "Books", "Toys", "Beauty")
_ADJECTIVES = (
    "Classic",
    "Small",
    "Large",
    "Organic",
    "Family",
    "Travel",
    "Gift",
    "Limited",
    "Blue",
    "Everyday",
)
PRODUCTS_A_CATEGORY = len(_ADJECTIVES)
_BASE_CENTS = (890, 650, 3490, 490, 1990, 1450, 1790, 1190)
_STEP_CENTS = (0, 150, 400, 260, 700, 990, 1500, 2900, 310, 80)
TAX_PER_CENT = 20


@dataclass(frozen=True)
class Campaign:
    """A campaign and the days between which it runs."""

    campaign_id: str
    name: str
    channel: str
    objective: str
    first: int
    last: int
    has_variants: bool


def product_id(number: int) -> str:
    """The id of a product by its number."""
    return f"p{number:03d}"


def category_of(number: int) -> str:
    """The category of a product by its number."""
    return CATEGORIES[number // PRODUCTS_A_CATEGORY]


def price_cents(number: int) -> int:
    """The price of a product in cents."""
    return _BASE_CENTS[number // PRODUCTS_A_CATEGORY] + _STEP_CENTS[number % PRODUCTS_A_CATEGORY]


def product_rows(parameters: Parameters) -> list[Record]:
    """All products; some have a second version with a later price."""
    records: list[Record] = []
    for number in range(len(CATEGORIES) * PRODUCTS_A_CATEGORY):
        name = f"{_ADJECTIVES[number % PRODUCTS_A_CATEGORY]} {category_of(number).lower()} set"
        if number % 17 == 3:
            name = f'{name}, "new edition"'
        first = row(
            product_id=product_id(number),
            name=name,
            category=category_of(number),
            price=price_cents(number) / 100,
            updated_at=parameters.start - 90 * DAY,
        )
        records.append((parameters.start, first))
        if number % 9 == 4:
            later = parameters.start + (20 + number) * DAY
            records.append((parameters.start, {**first, "price": price_cents(number) / 100 + 1, "updated_at": later}))
    return records


def campaigns(parameters: Parameters) -> list[Campaign]:
    """Two campaigns a channel, and a few that run for a month only."""
    made = []
    for number, traffic in enumerate(TRAFFIC):
        name = traffic.name
        made.append(
            Campaign(f"{name}_news", f"News by {name}", name, "information", 0, parameters.days, number % 2 == 0)
        )
        first, last = 20 + 5 * number, parameters.days
        made.append(Campaign(f"{name}_offer", f"Offers by {name}", name, "sale", first, last, number % 3 == 0))
    for month, first in enumerate(range(0, parameters.days, 30), start=1):
        channel = CHANNELS[(0, 2, 1)[month % 3]]
        made.append(Campaign(f"season_{month}", f"Season {month}", channel, "sale", first, first + 30, month % 2 == 0))
    return made


def campaign_rows(parameters: Parameters, draws: Draws) -> list[Record]:
    """The campaigns as rows, and the two that are not marketing."""
    records: list[Record] = []
    for campaign in campaigns(parameters):
        starts = parameters.start + campaign.first * DAY
        record = row(
            campaign_id=campaign.campaign_id,
            name=campaign.name,
            channel=campaign.channel,
            objective=campaign.objective,
            message_class="marketing" if campaign.first else None,
            starts_at=starts,
            ends_at=parameters.start + campaign.last * DAY if campaign.last < parameters.days else None,
            updated_at=starts - 7 * DAY,
        )
        records.append((parameters.start, record))
        if draws.happens(0.2, 1)[0]:
            records.append((parameters.start, {**record, "name": f"{campaign.name} (revised)", "updated_at": starts}))
    for name, message_class in (("order_confirmation", "transactional"), ("account_notice", "service")):
        plain = row(campaign_id=name, name=name.replace("_", " "), channel="email", message_class=message_class)
        records.append((parameters.start, plain))
    return records
