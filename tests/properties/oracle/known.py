"""Who is known as of a date."""

from __future__ import annotations

from datetime import date

from .versions import deduplicated
from .world import Row, World

#: The datasets that make a user known, and the time that dates their rows.
DATED_BY = {
    "users": "created_at",
    "orders": "ordered_at",
    "events": "timestamp",
    "identities": "linked_at",
    "consents": "occurred_at",
    "messages": "sent_at",
    "subscriptions": "started_at",
}


def first_known_dates(world: World, day: date) -> dict[str, date]:
    """By known user the date of the first row that tells of them; of a row without a time, before everything.

    Each version of a versioned row is a row. An anonymous event makes nobody known.
    """

    def rows(dataset: str) -> list[Row]:
        if dataset in ("events", "messages"):
            return deduplicated(world, dataset)
        return list(world.rows(dataset))

    first: dict[str, date] = {}
    for dataset, time in DATED_BY.items():
        for row in rows(dataset):
            user, moment = row.get("user_id"), row.get(time)
            if user is not None and world.is_by(moment, day):
                dated = date.min if moment is None else world.date_of(moment)
                first[user] = min(dated, first.get(user, dated))
    return first


def known_users(world: World, day: date) -> set[str]:
    """Every user_id with a row dated by the end of ``day``; a row without a time is always there."""
    return set(first_known_dates(world, day))
