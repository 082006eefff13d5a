"""Visits of the site and the app, and the events that they are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.catalogue import (
    BUYING_WEIGHTS,
    CATEGORIES,
    EVENT,
    FIRST_BUYING,
    HOUR_WEIGHTS,
    IS_CART,
    IS_OF_PRODUCT,
    PER_CATEGORY,
    SEARCHES,
    SHIFTS,
    STEPS,
    STORY_LENGTH,
    STORY_WEIGHTS,
)
from data.simulator.draws import Draws, Flags, Ints
from data.simulator.parameters import DAY, Parameters
from data.simulator.people import People
from data.simulator.tables import Table

_SEARCHED = EVENT["Products Searched"]
_LISTED = EVENT["Product List Viewed"]
_BOUGHT = EVENT["Order Completed"]
#: An order is made so many seconds after its visit began.
ORDER_AFTER = 900
#: Platforms whose visits have a session id (web, ios, android).
_HAS_SESSION = np.asarray([True, True, False])


@dataclass(frozen=True)
class Visits:
    """One entry a visit. ``user`` is -1 for strangers, ``device`` -1 where the visit carries none."""

    user: Ints
    #: Seconds since 1970.
    at: Ints
    device: Ints
    platform: NDArray[np.int8]
    is_logged_in: Flags
    buys: Flags
    #: The product that the visit is about.
    product: Ints
    #: The campaign and channel of the message that led here; -1 for people who come by themselves.
    campaign: Ints
    channel: Ints

    @property
    def count(self) -> int:
        """How many visits there are."""
        return len(self.user)

    def sorted(self) -> Visits:
        """The visits in the order of time."""
        order = np.lexsort((self.device, self.user, self.at))
        return Visits(**{name: values[order] for name, values in vars(self).items()})


def times_of_day(draws: Draws, size: int) -> Ints:
    """Seconds of the day at which people come."""
    return draws.choose(HOUR_WEIGHTS, size) * 3600 + draws.below(3600, size)


def products(draws: Draws, parameters: Parameters, people: People, user: Ints) -> Ints:
    """What visits are about: mostly the favourite category, and in it the first products most."""
    size = len(user)
    likes = draws.happens(parameters.favourite_share, size) & (user >= 0)
    category = np.where(likes, people.favourite[user], draws.below(len(CATEGORIES), size))
    luck = draws.uniform(size)
    return category * PER_CATEGORY + (luck * luck * PER_CATEGORY).astype(np.int64)


def event_rows(
    draws: Draws,
    parameters: Parameters,
    visits: Visits,
    order: Ints,
    order_value: Ints,
    prices: Ints,
    currency: NDArray[np.int8],
    first: tuple[int, int],
    is_caused: bool,
) -> tuple[Table, Ints]:
    """The events of the visits as rows, and when each arrives.

    ``order`` and ``order_value`` (cents) are -1 for visits that buy nothing; ``first`` are the numbers of the first
    event and the first visit.
    """
    count = visits.count
    story = np.where(
        visits.buys, FIRST_BUYING + draws.choose(BUYING_WEIGHTS, count), draws.choose(STORY_WEIGHTS, count)
    )
    pace = 15 + draws.below(90, count)
    is_late = draws.happens(parameters.late_visits, count)
    delay = 2 + np.where(is_late, DAY // 2 + draws.below(5 * DAY // 2, count), 0)
    search = draws.below(len(SEARCHES), count)
    length = STORY_LENGTH[story]
    total = int(length.sum())
    visit = np.repeat(np.arange(count), length)
    step = np.arange(total) - np.repeat(np.cumsum(length) - length, length)
    tale = story[visit]
    event = STEPS[(visits.platform > 0).astype(np.int8)[visit], tale, step]
    is_order = event == _BOUGHT
    at = visits.at[visit] + np.where(is_order, ORDER_AFTER, step * pace[visit])
    number = first[1] + np.arange(count)
    base = visits.product[visit]
    category = base // PER_CATEGORY
    product = category * PER_CATEGORY + (base + SHIFTS[tale, step]) % PER_CATEGORY
    is_of_product = IS_OF_PRODUCT[event]
    says_category = (event == _LISTED) | (is_of_product & (number % 3 == 0)[visit])
    value = np.where(IS_CART[event], prices[product], np.where(is_order, order_value[visit], -1))
    arrives = at + delay[visit]
    is_landing = (step == 0) & (visits.campaign >= 0)[visit]
    user = np.where(visits.is_logged_in, visits.user, -1)
    session = np.where(_HAS_SESSION[visits.platform], number, -1)
    table: Table = {
        "number": first[0] + np.arange(total),
        "is_caused": np.full(total, is_caused, dtype=np.int8),
        "user": user.astype(np.int32)[visit],
        "device": visits.device.astype(np.int32)[visit],
        "event": event,
        "at": at,
        "received": np.where((number % 4 > 0)[visit], arrives, -1),
        "platform": np.where(number % 10 > 0, visits.platform, -1).astype(np.int8)[visit],
        "session": session[visit],
        "product": np.where(is_of_product, product, -1).astype(np.int16),
        "category": np.where(says_category, category, -1).astype(np.int8),
        "order": np.where(is_order, order[visit], -1),
        "value": value,
        "currency": np.where(value >= 0, currency[visits.user][visit], -1).astype(np.int8),
        "search": np.where(event == _SEARCHED, search[visit], -1).astype(np.int8),
        "campaign": np.where(is_landing, visits.campaign[visit], -1).astype(np.int16),
        "channel": np.where(is_landing, visits.channel[visit], -1).astype(np.int8),
    }
    return table, arrives


def app_event_rows(name: str, people: People, user: Ints, at: Ints, first: int, is_caused: bool) -> Table:
    """Events that are no visits: the app is installed, or taken off."""
    size = len(user)

    def none(dtype: type[np.signedinteger]) -> NDArray[np.signedinteger]:
        return np.full(size, -1, dtype=dtype)

    return {
        "number": first + np.arange(size),
        "is_caused": np.full(size, is_caused, dtype=np.int8),
        "user": user.astype(np.int32),
        "device": none(np.int32),
        "event": np.full(size, EVENT[name], dtype=np.int8),
        "at": at,
        "received": at + 2,
        "platform": people.platform[user],
        "session": none(np.int64),
        "product": none(np.int16),
        "category": none(np.int8),
        "order": none(np.int64),
        "value": none(np.int64),
        "currency": none(np.int8),
        "search": none(np.int8),
        "campaign": none(np.int16),
        "channel": none(np.int8),
    }
