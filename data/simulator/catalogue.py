"""The fixed things of the simulated shop: products, places, names, telephone ranges, and the stories of visits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.draws import Ints

CATEGORIES = ("Coffee", "Tea", "Kitchen", "Bakery", "Garden", "Books", "Toys", "Beauty")
ADJECTIVES = (
    "Classic", "Small", "Large", "Organic", "Family", "Travel", "Gift", "Limited", "Blue", "Everyday",
)  # fmt: skip
PER_CATEGORY = len(ADJECTIVES)
PRODUCTS = len(CATEGORIES) * PER_CATEGORY
_BASE_CENTS = (890, 650, 3490, 490, 1990, 1450, 1790, 1190)
_STEP_CENTS = (0, 150, 400, 260, 700, 990, 1500, 2900, 310, 80)
TAX_PER_CENT = 20
#: Every product with this remainder by 9 becomes dearer by so many cents, product n on day 20 + n.
_DEARER, _DEARER_CENTS = 4, 100


def first_prices() -> Ints:
    """The price of each product (cents) before the first day."""
    return (np.asarray(_BASE_CENTS)[:, None] + np.asarray(_STEP_CENTS)[None, :]).reshape(-1).astype(np.int64)


def price_changes(day: int) -> Ints:
    """The products whose price changes on a day."""
    product = day - 20
    return np.asarray([product] if 0 <= product < PRODUCTS and product % 9 == _DEARER else [], dtype=np.int64)


def dearer(prices: Ints, products: Ints) -> Ints:
    """The prices (cents) after some products became dearer."""
    changed = prices.copy()
    changed[products] += _DEARER_CENTS
    return changed


@dataclass(frozen=True)
class Country:
    """A country: what people there pay in, where they live, and its telephone numbers kept for fiction.

    ``currency`` None means that orders don't say it: it is that of the business. A telephone number is a block and
    a line of ``digits`` digits; ``trunk`` comes before it at home.
    """

    code: str
    weight: int
    time_zone: str
    language: str
    currency: str | None
    cities: tuple[tuple[str, str], ...]
    dial: str = ""
    trunk: str = "0"
    blocks: tuple[str, ...] = ()
    digits: int = 0

    @property
    def phones(self) -> int:
        """How many telephone numbers there are."""
        return len(self.blocks) * 10**self.digits


_US_AREAS = (
    201, 202, 203, 205, 206, 207, 208, 209, 210, 212, 213, 214, 215, 216, 217, 218, 219, 224, 225, 228, 229, 231,
    234, 239, 240, 248, 251, 252, 253, 254, 256, 260, 262, 267, 269, 270, 276, 281, 301, 302, 303, 304, 305, 307,
    308, 309, 310, 312, 313, 314, 315, 316, 317, 318, 319, 320, 321, 323, 330, 334, 336, 337, 347, 351, 352, 360,
)  # fmt: skip
_CA_AREAS = (204, 250, 306, 403, 416, 418, 450, 506, 514, 519, 604, 613, 647, 705, 709, 778, 780, 819, 902, 905)
_GB_AREAS = (113, 114, 116, 117, 118, 121, 131, 141, 151, 161)

COUNTRIES = (
    Country("FR", 30, "Europe/Paris", "fr", None,
            (("Paris", "Île-de-France"), ("Saint-Étienne", "Loire"), ("Lille", "Nord"), ("Lyon", "Rhône")),
            "33", "0", ("1 99 00", "2 61 91", "3 53 01", "4 65 71", "5 36 49"), 4),
    Country("DE", 20, "Europe/Berlin", "de", "EUR",
            (("Berlin", "Berlin"), ("München", "Bayern"), ("Köln", "Nordrhein")),
            "49", "0", ("30 23125", "69 90009", "40 66969", "221 4710", "89 99998"), 3),
    Country("GB", 16, "Europe/London", "en", "GBP", (("London", "England"), ("Leeds", "England"), ("Cardiff", "Wales")),
            "44", "0", (*(f"{area} 496 0" for area in _GB_AREAS), "20 7946 0"), 3),
    Country("US", 12, "America/New_York", "en", "USD", (("Boston", "MA"), ("New York", "NY"), ("Chicago", "IL")),
            "1", "", tuple(f"({area}) 555-01" for area in _US_AREAS), 2),
    Country("CA", 4, "America/Toronto", "fr", "USD", (("Montréal", "QC"), ("Ottawa", "ON")),
            "1", "", tuple(f"({area}) 555-01" for area in _CA_AREAS), 2),
    Country("AU", 4, "Australia/Sydney", "en", "USD", (("Sydney", "NSW"), ("Perth", "WA")),
            "61", "0", tuple(f"{area} {block}" for block in (5550, 7010) for area in (2, 3, 7, 8)), 4),
    Country("SE", 2, "Europe/Stockholm", "sv", "SEK", (("Malmö", "Skåne"), ("Uppsala", "Uppland")),
            "46", "0", ("8 465004", "31 39006", "40 62804", "980 3192"), 2),
    Country("ES", 5, "Europe/Madrid", "es", "EUR", (("Madrid", "Madrid"), ("Bilbao", "Euskadi"))),
    Country("CH", 3, "Europe/Zurich", "de", "CHF", (("Zürich", "ZH"), ("Genève", "GE"))),
    Country("NL", 2, "Europe/Amsterdam", "nl", "EUR", (("Utrecht", "Utrecht"),)),
    Country("IT", 2, "Europe/Rome", "it", "EUR", (("Milano", "Lombardia"), ("Bari", "Puglia"))),
)  # fmt: skip

FIRST_NAMES = (
    "Ada", "Ben", "Chloé", "Dana", "Emil", "Fatou", "Gül", "Hugo", "Inès", "Jonas", "Kim", "Léa",
    "Marta", "Noah", "Olga", "Paul", "Rosa", "Sami", "Tess", "Uma", "Zoé",
)  # fmt: skip
LAST_NAMES = (
    "Adler", "Brown", "Costa", "Dubois", "Evans", "Fischer", "García", "Hill", "Ito", "Jansen",
    "Klein", "Leroy", "Moreau", "Novak", "Okafor", "Petit",
)  # fmt: skip
GENDERS = ("female", "male", "other")
INCOMES = ("low", "middle", "high")
EDUCATIONS = ("school", "vocational", "university")
OCCUPATIONS = ("student", "employee", "self-employed", "retired")
VALUES = ("price", "quality", "ecology", "local", "novelty")
EMAIL_DOMAINS = ("example.com", "example.org", "example.net")

#: Visits, and things bought in the shop, by hour of the day.
HOUR_WEIGHTS = (1, 1, 0, 0, 0, 1, 3, 6, 8, 9, 9, 9, 11, 10, 8, 8, 9, 11, 13, 15, 15, 12, 7, 3)
PLATFORMS = ("web", "ios", "android")
SEARCHES = ("gift", "sale", "tea", "espresso", "garden", "book for children")

EVENTS = (
    "page", "screen", "Application Opened", "Application Installed", "Application Uninstalled", "Article Viewed",
    "Product List Viewed", "Products Searched", "Product Viewed", "Product Added", "Product Removed",
    "Product Added to Wishlist", "Cart Viewed", "Checkout Started", "Order Completed", "view_item", "add_to_cart",
    "Quiz Finished", "Store Locator Used",
)  # fmt: skip
EVENT = {name: number for number, name in enumerate(EVENTS)}
_OF_A_PRODUCT = {
    "Product Viewed", "Product Added", "Product Removed", "Product Added to Wishlist", "view_item", "add_to_cart",
}  # fmt: skip
_VIEWS = {"Product Viewed", "view_item"}
_CART = {"Product Added", "add_to_cart"}

#: What happens in a visit: the weight of the story, and its events on the web. Those that buy are told apart.
_STORIES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (14, ("page",)),
    (11, ("page", "page", "page")),
    (6, ("page", "Article Viewed", "page")),
    (15, ("page", "Product List Viewed", "Product Viewed")),
    (7, ("page", "Product List Viewed", "Product Viewed", "Product Viewed", "Product Viewed", "Product Viewed")),
    (11, ("page", "Products Searched", "Product Viewed", "Product Viewed")),
    (3, ("page", "Products Searched")),
    (11, ("page", "Product Viewed", "Product Viewed", "Product Viewed")),
    (4, ("page", "Product Viewed", "Product Added to Wishlist")),
    (7, ("page", "Product Viewed", "Product Added", "Cart Viewed")),
    (4, ("page", "Product Viewed", "Product Added", "Cart Viewed", "Checkout Started")),
    (3, ("page", "Product Viewed", "Product Added", "Product Removed")),
    (2, ("page", "view_item", "add_to_cart")),
    (1, ("page", "Quiz Finished")),
    (1, ("page", "Store Locator Used", "Product Viewed")),
)
_BUYING: tuple[tuple[int, tuple[str, ...]], ...] = (
    (5, ("page", "Product List Viewed", "Product Viewed", "Product Viewed", "Product Added", "Cart Viewed",
         "Checkout Started", "Order Completed")),
    (3, ("page", "Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Order Completed")),
    (2, ("page", "Products Searched", "Product Viewed", "Product Added", "Checkout Started", "Order Completed")),
)  # fmt: skip
STORY_WEIGHTS = tuple(weight for weight, _ in _STORIES)
BUYING_WEIGHTS = tuple(weight for weight, _ in _BUYING)
#: Stories that buy come after the others.
FIRST_BUYING = len(_STORIES)
_TALES = tuple(steps for _, steps in (*_STORIES, *_BUYING))
LONGEST = max(len(steps) for steps in _TALES)


def _of_events(names: set[str]) -> NDArray[np.bool_]:
    return np.asarray([name in names for name in EVENTS])


IS_OF_PRODUCT = _of_events(_OF_A_PRODUCT)
IS_CART = _of_events(_CART)
STORY_LENGTH: Ints = np.asarray([len(steps) for steps in _TALES], dtype=np.int64)


def _steps(is_app: bool) -> NDArray[np.int8]:
    """Stories by step, as codes of events; -1 after the end."""
    table = np.full((len(_TALES), LONGEST), -1, dtype=np.int8)
    for story, steps in enumerate(_TALES):
        names = ["Application Opened", *("screen" if n == "page" else n for n in steps[1:])] if is_app else list(steps)
        table[story, : len(names)] = [EVENT[name] for name in names]
    return table


#: By platform (web, app), story and step.
STEPS: NDArray[np.int8] = np.stack([_steps(False), _steps(True)])


def _shifts() -> NDArray[np.int8]:
    """How far the product of a view is from the visit's own product, which the last view shows."""
    table = np.zeros((len(_TALES), LONGEST), dtype=np.int8)
    for story, steps in enumerate(_TALES):
        views = [step for step, name in enumerate(steps) if name in _VIEWS]
        for distance, step in enumerate(reversed(views)):
            table[story, step] = distance * 3 % PER_CATEGORY
    return table


SHIFTS: NDArray[np.int8] = _shifts()
