"""Orders with their versions and lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.simulator.catalogue import CATEGORIES, PER_CATEGORY, TAX_PER_CENT
from data.simulator.draws import Draws, Flags, Ints
from data.simulator.parameters import DAY, Parameters
from data.simulator.people import People
from data.simulator.tables import Table, filled, joined, taken

STATUSES = ("placed", "completed", "cancelled", "refunded")
_PLACED, _COMPLETED, _CANCELLED, _REFUNDED = range(4)
#: Lines of a basket by its size (small, usual, large), in hundredths of all baskets.
_LINES = np.stack(
    [
        np.repeat(np.arange(1, 7), weights)
        for weights in ((68, 22, 7, 2, 1, 0), (38, 26, 16, 11, 6, 3), (12, 18, 22, 20, 16, 12))
    ]
)
_QUANTITIES = np.asarray([1, 2, 3, 6, 20])
_QUANTITY_WEIGHTS = (74, 16, 6, 3, 1)
_FREE_SHIPPING_FROM, _SHIPPING = 5000, 490
#: An order in so many is in a currency that nobody knows.
_UNKNOWN_CURRENCY_EVERY, _UNKNOWN_CURRENCY_AT = 700, 350
_PAST_ORDERS = np.asarray([0, 1, 1, 1, 1, 2, 2, 3, 4, 5, 8, 12, 24])


@dataclass(frozen=True)
class Orders:
    """Rows of orders (a row a version) and of their lines, and when each arrives; one ``gross`` (cents) an order."""

    versions: Table
    versions_arrive: Ints
    lines: Table
    lines_arrive: Ints
    gross: Ints


def make_orders(
    draws: Draws,
    parameters: Parameters,
    people: People,
    prices: Ints,
    user: Ints,
    at: Ints,
    product: Ints,
    is_online: Flags,
    first: int,
    is_caused: bool,
) -> Orders:
    """Fill a basket for each entry: a person, a time (seconds), and the product that it begins with (-1: any)."""
    size = len(user)
    number = first + np.arange(size)
    lines = _LINES[people.basket[user], draws.below(100, size)]
    total = int(lines.sum())
    order = np.repeat(np.arange(size), lines)
    line = np.arange(total) - np.repeat(np.cumsum(lines) - lines, lines)
    likes = draws.happens(parameters.favourite_share, total)
    category = np.where(likes, people.favourite[user][order], draws.below(len(CATEGORIES), total))
    chosen = category * PER_CATEGORY + draws.below(PER_CATEGORY, total)
    item = np.where((line == 0) & (product[order] >= 0), product[order], chosen)
    quantity = _QUANTITIES[draws.choose(_QUANTITY_WEIGHTS, total)]
    goods = np.bincount(order, weights=prices[item] * quantity, minlength=size).astype(np.int64)
    table: Table = {
        "number": number[order],
        "is_caused": np.full(total, is_caused, dtype=np.int8),
        "at": at[order],
        "line": line + 1,
        "product": item,
        "category": np.where(number[order] % 3 > 0, item // PER_CATEGORY, -1),
        "quantity": quantity,
        "price": prices[item],
    }
    luck = draws.uniform(5, size)
    shipping = np.where(is_online & (goods < _FREE_SHIPPING_FROM), _SHIPPING, 0)
    has_coupon = luck[0] < 0.15
    discount = np.where(has_coupon, goods // 10, 0)
    gross = goods + shipping
    header = filled(
        size,
        number=number,
        is_caused=int(is_caused),
        user=user,
        at=at,
        status=np.where(luck[1] < 0.7, _COMPLETED, -1),
        gross=gross,
        discount=np.where(has_coupon, discount, -1),
        refunded=-1,
        shipping=np.where(is_online, shipping, -1),
        tax=np.where(number % 2 > 0, gross * TAX_PER_CENT // (100 + TAX_PER_CENT), -1),
        currency=np.where(
            number % _UNKNOWN_CURRENCY_EVERY == _UNKNOWN_CURRENCY_AT, UNKNOWN_CURRENCY, people.country[user]
        ),
        # The till writes an order once; half of these rows carry no time of change.
        updated=np.where(is_online | (number % 2 == 0), at, -1),
    )
    versions, arrive = _versions(header, is_online, luck, gross - discount)
    return Orders(versions, arrive, table, at[order], gross)


#: The code of the currency that has no country.
UNKNOWN_CURRENCY = 100


def _versions(header: Table, is_online: Flags, luck: np.ndarray, paid: Ints) -> tuple[Table, Ints]:
    """Every version of each order, and when it is written: placed, completed or cancelled, refunded."""
    at = header["at"]
    sent = at + DAY + (luck[2] * 2 * DAY).astype(np.int64)
    back = at + 4 * DAY + (luck[4] * 25 * DAY).astype(np.int64)
    is_cancelled = is_online & (luck[3] < 0.04)
    comes_back = luck[3] > 0.93
    is_whole = luck[3] > 0.96
    first = dict(header)
    first["status"] = np.where(is_online, _PLACED, header["status"])
    later = dict(header)
    later["status"] = np.where(is_cancelled, _CANCELLED, _COMPLETED)
    later["updated"] = sent
    refund = dict(header)
    refund["status"] = np.where(is_whole, _REFUNDED, _COMPLETED)
    refund["refunded"] = np.where(is_whole, paid, header["gross"] // 4)
    refund["updated"] = back
    parts = [(first, slice(None), at), (later, is_online, sent), (refund, comes_back, back)]
    table = joined(taken(version, rows) for version, rows, _ in parts)
    return table, np.concatenate([when[rows] for _, rows, when in parts])


def past_orders(parameters: Parameters, people: People) -> tuple[Ints, Ints]:
    """Who ordered before the first day, and when (seconds), in the order of time."""
    draws = Draws(parameters.seed, "past orders")
    has_past = np.asarray([kind.has_past_orders for kind in parameters.kinds])[people.kind]
    span = parameters.start - 3600 - people.came
    count = np.where(has_past & (span > 0), _PAST_ORDERS[draws.below(len(_PAST_ORDERS), people.count)], 0)
    user = np.repeat(np.arange(people.count), count)
    at = people.came[user] + draws.below(np.maximum(span, 1)[user], len(user))
    order = np.lexsort((user, at))
    return user[order], at[order]
