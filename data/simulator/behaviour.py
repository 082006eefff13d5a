"""What people do by themselves: visits with their events, and orders with their lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.simulator.catalogue import (
    CATEGORIES,
    PRODUCTS_A_CATEGORY,
    TAX_PER_CENT,
    category_of,
    price_cents,
    product_id,
)
from data.simulator.draws import Draws, Flags, Floats, Ints
from data.simulator.parameters import DAY, KINDS, WEEKLY_FADING, Parameters
from data.simulator.people import People, anonymous_id, currency_of, user_id
from data.simulator.rows import Record, Row, row

_ABSENT, _AWAKE, _ASLEEP, _GONE = range(4)
_HOURS = (1, 1, 0, 0, 0, 1, 3, 6, 8, 9, 9, 9, 11, 10, 8, 8, 9, 11, 13, 15, 15, 12, 7, 3)
_WEEKDAYS = (1.0, 0.95, 0.95, 1.0, 1.05, 1.15, 1.1)
_PAST_ORDERS = (0, 1, 1, 1, 1, 2, 2, 3, 4, 5, 8, 12, 24)
_BOUGHT = 0
_STORIES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (0, ("page", "Product Viewed", "Product Added", "Cart Viewed", "Checkout Started", "Order Completed")),
    (22, ("page",)),
    (16, ("page", "page", "page")),
    (16, ("page", "Product List Viewed", "Product Viewed")),
    (10, ("page", "Products Searched", "Product Viewed", "Product Viewed")),
    (2, ("page", "Products Searched")),
    (9, ("page", "Product Viewed", "Product Viewed", "Product Viewed")),
    (4, ("page", "Product Viewed", "Product Added to Wishlist")),
    (8, ("page", "Product Viewed", "Product Added", "Cart Viewed")),
    (4, ("page", "Product Viewed", "Product Added", "Cart Viewed", "Checkout Started")),
    (3, ("page", "Product Viewed", "Product Added", "Product Removed")),
    (2, ("page", "view_item", "add_to_cart")),
    (2, ("page", "Quiz Finished")),
    (1, ("page", "Store Locator Used", "Product Viewed")),
)
_OF_A_PRODUCT = frozenset(
    {
        "Product Viewed",
        "Product Added",
        "Product Removed",
        "Product Added to Wishlist",
        "Order Completed",
        "view_item",
        "add_to_cart",
    }  # fmt: skip
)
_PLATFORMS = ("web", "ios", "android")
_SEARCHES = ("gift", "sale", "tea", "espresso", "garden", "book for children")


@dataclass(frozen=True)
class Visits:
    """One entry a visit, in the order of time. ``user`` is −1 for strangers: a device, no more."""

    user: Ints
    at: Ints
    platform: Ints
    logged_in: Flags
    buys: Flags
    stranger: Ints


@dataclass(frozen=True)
class Orders:
    """One entry an order, in the order of time. ``visit`` is the visit it was made in, −1 for a shop."""

    user: Ints
    at: Ints
    visit: Ints

    @property
    def count(self) -> int:
        """How many orders there are."""
        return len(self.user)


def order_id(number: int) -> str:
    """The id of an order by its number."""
    return f"o{number:06d}"


def interest(parameters: Parameters, people: People) -> Floats:
    """The chance of a visit by day (rows) and person (columns); 0 where nobody is awake."""
    draws = Draws(parameters.seed, "interest")
    sleeps, wakes, leaves = (
        np.asarray(rates)[people.kind]
        for rates in ([k.falls_asleep for k in KINDS], [k.wakes for k in KINDS], [k.leaves for k in KINDS])
    )
    fading = [1.0]
    for _ in range(parameters.days // 7 + 1):
        fading.append(fading[-1] * WEEKLY_FADING)
    fading_by_week = np.asarray(fading)
    first_day = (people.created - parameters.start) // DAY
    was_awake = draws.happens(0.6, people.count)
    state = np.where(first_day >= 0, _ABSENT, np.where(was_awake, _AWAKE, _ASLEEP))
    awake_since = np.zeros(people.count, dtype=np.int64)
    chance = np.zeros((parameters.days, people.count))
    luck = draws.uniform(parameters.days, people.count)
    for day in range(parameters.days):
        arrives = (state == _ABSENT) & (first_day == day)
        wakes_up = (state == _ASLEEP) & (luck[day] < wakes)
        leaves_now = (state != _ABSENT) & (luck[day] >= 1 - leaves)
        dozes_off = (state == _AWAKE) & (luck[day] < sleeps)
        state = np.where(arrives | wakes_up, _AWAKE, np.where(dozes_off, _ASLEEP, state))
        state = np.where(leaves_now, _GONE, state)
        awake_since = np.where(arrives | wakes_up, day, awake_since)
        rate = people.visit_rate * fading_by_week[(day - awake_since) // 7]
        chance[day] = np.where(state == _AWAKE, rate * _WEEKDAYS[parameters.date_of(day).weekday()], 0.0)
    return chance


def make_visits(parameters: Parameters, people: People) -> Visits:
    """Draw all visits: of people who are awake, of new users, of strangers, and of people not yet known."""
    draws = Draws(parameters.seed, "visits")
    chance = interest(parameters, people)
    luck = draws.uniform(*chance.shape)
    day, user = np.nonzero(luck < chance)
    again = draws.happens(0.12, len(day))
    comes_online = np.asarray([k.visits > 0 or k.name == "single" for k in KINDS])[people.kind]
    fresh = np.flatnonzero(comes_online & (people.created >= parameters.start))
    early = fresh[draws.happens(0.3, len(fresh)) & (people.visit_rate[fresh] > 0)]
    early_at = np.maximum(people.created[early] - draws.below(5 * DAY, len(early)) - 3600, parameters.start)
    days = np.concatenate([day, day[again]])
    users = np.concatenate([user, user[again], fresh, early, np.full(parameters.strangers, -1)])
    hours = draws.choose(_HOURS, len(days))
    at = parameters.start + days * DAY + hours * 3600 + draws.below(3600, len(days))
    stranger_at = parameters.start + draws.below(parameters.days * DAY - 7200, parameters.strangers)
    times = np.concatenate([at, people.created[fresh] + 60, early_at, stranger_at])
    order = np.lexsort((users, times))
    users, times = users[order], times[order]
    size = len(users)
    is_person = users >= 0
    by_app = draws.happens(0.6, size) & is_person
    month = (parameters.start + (times - parameters.start) // (30 * DAY) * 30 * DAY) // (30 * DAY) % 12 + 1
    distance = np.abs(month - people.season[users])
    seasonal = np.where(np.minimum(distance, 12 - distance) <= 1, 2.0, 0.7)
    logged_in = is_person & draws.happens(0.8, size) & (times >= people.created[users])
    # Whoever comes once signs up in that visit.
    logged_in |= is_person & (times == people.created[users] + 60)
    return Visits(
        user=users,
        at=times,
        platform=np.where(by_app, people.platform[users], 0),
        logged_in=logged_in,
        buys=logged_in & (draws.uniform(size) < people.buy_rate[users] * seasonal),
        stranger=np.where(is_person, -1, draws.below(max(parameters.strangers * 3 // 4, 1), size)),
    )


def make_orders(parameters: Parameters, people: People, visits: Visits) -> Orders:
    """Orders made in visits, in the shop, and before visits were tracked."""
    draws = Draws(parameters.seed, "orders")
    online = np.flatnonzero(visits.buys)
    shop_rate = np.asarray([k.shop_orders for k in KINDS])[people.kind]
    day, shop_user = np.nonzero(draws.uniform(parameters.days, people.count) < shop_rate)
    shop_at = parameters.start + day * DAY + 9 * 3600 + draws.below(9 * 3600, len(day))
    later = shop_at > people.created[shop_user]
    shop_user, shop_at = shop_user[later], shop_at[later]
    begins = np.maximum(people.created, parameters.start - parameters.history_days * DAY)
    span = parameters.start - 3600 - begins
    has_past = np.asarray([k.has_history for k in KINDS])[people.kind] & (span > 0)
    past = np.where(has_past, np.asarray(_PAST_ORDERS)[draws.below(len(_PAST_ORDERS), people.count)], 0)
    past_user = np.repeat(np.arange(people.count), past)
    past_at = begins[past_user] + draws.below(span[past_user], len(past_user)) if len(past_user) else past_user
    users = np.concatenate([visits.user[online], shop_user, past_user])
    times = np.concatenate([visits.at[online] + 600, shop_at, past_at])
    made_in = np.concatenate([online, np.full(len(shop_user) + len(past_user), -1)])
    order = np.lexsort((users, times))
    return Orders(user=users[order], at=times[order], visit=made_in[order])


def order_tables(parameters: Parameters, people: People, orders: Orders) -> tuple[list[Record], list[Record]]:
    """The versions of all orders, and their lines."""
    draws = Draws(parameters.seed, "baskets")
    size = orders.count
    lines = 1 + draws.choose([40, 25, 15, 10, 6, 4], size)
    per_line = int(lines.sum())
    likes = draws.happens(0.6, per_line)
    owner = np.repeat(orders.user, lines)
    category = np.where(likes, people.favourite[owner], draws.below(len(CATEGORIES), per_line))
    product = (category * PRODUCTS_A_CATEGORY + draws.below(PRODUCTS_A_CATEGORY, per_line)).tolist()
    quantity = np.asarray([1, 2, 3, 6, 20])[draws.choose([74, 16, 6, 3, 1], per_line)].tolist()
    luck = draws.uniform(5, size).tolist()
    headers: list[Record] = []
    items: list[Record] = []
    position = 0
    for number, (user, at, visit) in enumerate(
        zip(orders.user.tolist(), orders.at.tolist(), orders.visit.tolist(), strict=True)
    ):
        goods = 0
        for line in range(int(lines[number])):
            item, pieces = product[position], quantity[position]
            position += 1
            goods += price_cents(item) * pieces
            items.append(
                (
                    at,
                    row(
                        order_id=order_id(number),
                        line_number=line + 1,
                        product_id=product_id(item),
                        category=category_of(item) if number % 3 else None,
                        quantity=pieces,
                        unit_price=price_cents(item) / 100,
                    ),
                )
            )
        dice = [column[number] for column in luck]
        headers.extend(_order_versions(number, user, at, visit >= 0, goods, dice, people))
    return headers, items


def _order_versions(
    number: int, user: int, at: int, is_online: bool, goods: int, dice: list[float], people: People
) -> list[Record]:
    """The versions of one order, as a shop system exports them: each when it changes."""
    shipping = 490 if is_online and goods < 5000 else 0
    discount = goods // 10 if dice[0] < 0.15 else 0
    gross = goods + shipping
    currency = currency_of(int(people.country[user]))
    order = row(
        order_id=order_id(number),
        user_id=user_id(user),
        ordered_at=at,
        status="completed" if dice[1] < 0.7 else None,
        gross_amount=gross / 100,
        discount_amount=discount / 100 if discount else None,
        shipping_amount=shipping / 100 if is_online else None,
        tax_amount=gross * TAX_PER_CENT // (100 + TAX_PER_CENT) / 100 if number % 2 else None,
        currency="XTS" if number % 700 == 350 else currency,
        coupon="TENOFF" if discount else None,
    )
    versions: list[Record]
    if not is_online:
        # The till writes an order once; old ones carry no time of change.
        versions = [(at, order if number % 2 else {**order, "updated_at": at})]
    else:
        sent = at + DAY + int(dice[2] * 2 * DAY)
        versions = [
            (at, {**order, "status": "placed", "updated_at": at}),
            (sent, {**order, "status": "completed", "updated_at": sent}),
        ]
        if dice[3] < 0.04:
            versions[1] = (sent, {**order, "status": "cancelled", "updated_at": sent})
    if dice[3] > 0.93:
        back = at + 4 * DAY + int(dice[4] * 25 * DAY)
        is_whole = dice[3] > 0.96
        refund: Row = {"status": "refunded" if is_whole else "completed", "updated_at": back}
        refund["refunded_amount"] = (gross - discount if is_whole else gross // 4) / 100
        versions.append((back, {**order, **refund}))
    return versions


def event_records(parameters: Parameters, people: People, visits: Visits, orders: Orders) -> list[Record]:
    """The events of all visits, each with the time at which it arrives."""
    draws = Draws(parameters.seed, "events")
    size = len(visits.at)
    story = np.where(visits.buys, _BOUGHT, draws.choose([weight for weight, _ in _STORIES], size))
    order_of = {int(visit): number for number, visit in enumerate(orders.visit) if visit >= 0}
    favourite = np.where(draws.happens(0.65, size), people.favourite[visits.user], draws.below(len(CATEGORIES), size))
    item = (favourite * PRODUCTS_A_CATEGORY + draws.below(PRODUCTS_A_CATEGORY, size)).tolist()
    pace = (15 + draws.below(90, size)).tolist()
    late = np.where(draws.happens(parameters.late_share, size), DAY // 2 + draws.below(5 * DAY, size), 0).tolist()
    luck = draws.uniform(3, size).tolist()
    columns = (visits.user, visits.at, visits.platform, visits.logged_in, visits.stranger, story)
    records: list[Record] = []
    installed: set[int] = set()
    for number, (user, at, platform, logged_in, stranger, tale) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        knows_device = not logged_in or luck[0][number] < 0.5
        device = f"web-x{stranger:04d}" if user < 0 else anonymous_id(user, platform > 0)
        who = row(
            user_id=user_id(user) if logged_in else None,
            anonymous_id=device if knows_device else None,
            platform=_PLATFORMS[platform] if luck[2][number] < 0.9 else None,
            session_id=f"v{number:06d}" if luck[1][number] < 0.7 else None,
        )
        names = _names(_STORIES[tale][1], platform > 0)
        if platform and user not in installed:
            installed.add(user)
            names.insert(0, "Application Installed")
        for step, name in enumerate(names):
            happened = at + (600 if name == "Order Completed" else step * pace[number])
            event = {"event_id": "", **who, "event": name, "timestamp": happened}
            if number % 4:
                event["received_at"] = happened + 2 + late[number]
            _describe(event, item[number] if step < 3 else item[number] // 10 * 10, order_of.get(number), number)
            records.append((happened + 2 + late[number], event))
    records.extend(_uninstalls(parameters, people, draws))
    records.sort(key=lambda record: record[0])
    for number, (_, record) in enumerate(records):
        record["event_id"] = f"e{number:06d}"  # type: ignore[index]
    return records


def _names(story: tuple[str, ...], is_app: bool) -> list[str]:
    """The story's events as the web or the app names them."""
    if not is_app:
        return list(story)
    return ["Application Opened", *("screen" if name == "page" else name for name in story[1:])]


def _describe(event: Row, item: int, order: int | None, number: int) -> None:
    """Say which product, category, search or order an event is about."""
    name = event["event"]
    if name in _OF_A_PRODUCT:
        event["product_id"] = product_id(item)
        if number % 3 == 0:
            event["category"] = category_of(item)
        if name in ("Product Added", "add_to_cart"):
            event["value"] = price_cents(item) / 100
    if name == "Product List Viewed":
        event["category"] = category_of(item)
    elif name == "Products Searched":
        event["properties"] = {"query": _SEARCHES[number % len(_SEARCHES)]}
    elif name == "Order Completed" and order is not None:
        event["order_id"] = order_id(order)
        del event["product_id"]


def _uninstalls(parameters: Parameters, people: People, draws: Draws) -> list[Record]:
    """Some people with the app take it off again."""
    off = np.flatnonzero((people.platform > 0) & (people.visit_rate > 0) & draws.happens(0.06, people.count)).tolist()
    when = draws.uniform(len(off)).tolist()
    records: list[Record] = []
    for number, luck in zip(off, when, strict=True):
        begins = max(int(people.created[number]) + DAY, parameters.start)
        at = begins + int(luck * max(parameters.end - begins, 1))
        who = {"event_id": "", "user_id": user_id(number), "platform": _PLATFORMS[people.platform[number]]}
        if at < parameters.end:
            records.append((at, {**who, "event": "Application Uninstalled", "timestamp": at, "received_at": at}))
    return records
