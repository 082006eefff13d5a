"""What people say of themselves, and what of it is published: small values and long tails become ``other``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date

from .as_of import AsOf
from .world import World

#: The families whose values are in a column of users.
PLAIN = ("gender", "country", "region", "city", "income_band", "education")
#: ... and those of a list.
LISTS = {"interest": "interests", "value": "values"}
DECLARED = ("age_band", *PLAIN, *LISTS)
MAX_AGE = 120


def age_in_years(born: date, day: date) -> int:
    """Whole years; who was born on 29 February has the birthday on 1 March in other years."""
    try:
        birthday = born.replace(year=day.year)
    except ValueError:
        birthday = date(day.year, 3, 1)
    return day.year - born.year - (day < birthday)


def age_band(now: AsOf) -> dict[str, str]:
    """The band of the age; a birth date still to come, or of more than 120 years ago, is none."""

    def segment(user: str) -> str:
        born = now.profiles.get(user, {}).get("birth_date")
        if born is None or born > now.day or age_in_years(born, now.day) > MAX_AGE:
            return "unknown"
        age = age_in_years(born, now.day)
        return next(
            (band for band, least, most in now.world.age_bands if least <= age and (most is None or age <= most)),
            "unknown",
        )

    return {user: segment(user) for user in now.users}


def plain(now: AsOf, column: str) -> dict[str, str]:
    """The value as written; a country in upper case."""

    def segment(user: str) -> str:
        text = now.profiles.get(user, {}).get(column)
        if text is None:
            return "unknown"
        return str(text).upper() if column == "country" else str(text)

    return {user: segment(user) for user in now.users}


def listed(now: AsOf, family: str) -> dict[str, dict[str, object]]:
    """The one that comes first in the seed's order, and all; what the seed lacks comes after, by name.

    Published is ``other`` for what too few users declare.
    """
    order = list(now.world.declared_order.get(family, ()))

    def place(text: str) -> tuple[int, str]:
        return (order.index(text) if text in order else len(order), text)

    lists: dict[str, list[str]] = {}
    for user in now.users:
        texts = now.profiles.get(user, {}).get(LISTS[family]) or []
        lists[user] = sorted({text.strip() for text in texts if text is not None and text.strip()}, key=place)
    sizes = Counter(value for values in lists.values() for value in values)

    def shown(value: str) -> str:
        return value if sizes[value] >= now.world.declared_min_users else "other"

    rows: dict[str, dict[str, object]] = {}
    for user, values in lists.items():
        rows[user] = {
            "segment": values[0] if values else "unknown",
            "declared": "|".join(values) or None,
            "published": "|".join(dict.fromkeys(shown(value) for value in values)) or None,
        }
    return rows


def folded(world: World, family: str, segments: Mapping[str, str]) -> dict[str, str]:
    """The segments of a family as user_360 shows them."""
    shown = dict(segments)
    if family in DECLARED:
        sizes = Counter(shown.values())
        small = {s for s, users in sizes.items() if users < world.declared_min_users and s not in ("unknown", "other")}
        shown = {user: "other" if segment in small else segment for user, segment in shown.items()}
    sizes = Counter(shown.values())
    if len(sizes) > world.family_max_segments:
        named = sorted((segment for segment in sizes if segment != "other"), key=lambda s: (-sizes[s], s))
        kept = named[: world.family_max_segments - 1]
        shown = {user: segment if segment in kept else "other" for user, segment in shown.items()}
    return shown
