"""Families of what buyers are worth: rfm, value_tier, loyalty_basket; and what new cut points alone would change."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from .as_of import AsOf
from .numbers import rounded
from .orders import Order
from .rfm import CutPoints, buyers_in_window, cut_points, cut_points_of, in_window, quantile, scored, segment_of


@dataclass(frozen=True)
class Cuts:
    """The cut points of scores, and the median of the mean order value (None: nobody has one)."""

    scores: CutPoints
    median: Decimal | None


def mean_order_value(now: AsOf, orders: list[Order]) -> Decimal | None:
    """Net revenue of orders with a value, by their number: over 365 days, else over all."""
    with_value = [order for order in orders if order.net is not None]
    recent = [order for order in with_value if now.is_in_last(order.day, now.world.order_year_days)]
    counted = recent or with_value
    if not counted:
        return None
    return rounded(Fraction(sum((order.net or Decimal(0) for order in counted), Decimal(0))) / len(counted), 6)


def median_order_value(now: AsOf) -> Decimal | None:
    """The median of those with an order of some value in 365 days, of their mean over these days."""
    means = [
        mean_order_value(now, orders)
        for orders in now.orders.values()
        if any(order.net is not None and now.is_in_last(order.day, now.world.order_year_days) for order in orders)
    ]
    values = [mean for mean in means if mean is not None]
    return quantile(values, Fraction(1, 2)) if values else None


def has_enough_buyers(now: AsOf, day: date) -> bool:
    """Whether cut points may be computed as of ``day``."""
    return len(buyers_in_window(now.world, day)) >= now.world.rfm_min_cut_population


def last_day_of_month_before(day: date) -> date:
    """The day before the first of its month."""
    return day.replace(day=1) - timedelta(days=1)


def basket_cut_date(now: AsOf) -> date:
    """The date of the median; fixed cut points have none of their own, so it is that of the policy monthly."""
    if now.world.rfm_cut_policy == "daily":
        return now.day
    month_end = last_day_of_month_before(now.day)
    return month_end if has_enough_buyers(now, month_end) else now.day


def current_cuts(now: AsOf) -> Cuts:
    """What the date is scored with."""
    return Cuts(cut_points(now.world, now.day), median_order_value(AsOf(now.world, basket_cut_date(now))))


def previous_cuts(now: AsOf) -> Cuts | None:
    """What the date before a change of cut points was scored with; fixed ones don't change."""
    if now.world.rfm_cut_policy == "fixed":
        return None
    day_before = now.day - timedelta(days=1)
    day = day_before
    current = cut_points(now.world, now.day).computed_as_of
    if now.world.rfm_cut_policy == "monthly" and current is not None and current != now.day:
        month_end = last_day_of_month_before(current)
        day = month_end if has_enough_buyers(now, month_end) else day_before
    return Cuts(cut_points_of(now.world, day), median_order_value(AsOf(now.world, day)))


def rfm(now: AsOf, cuts: Cuts) -> dict[str, str]:
    """The cell of the map; without an order in the window a buyer is lost."""

    def segment(user: str) -> str:
        orders = now.orders.get(user, [])
        if not orders:
            return "no_orders"
        scores = scored(now.world, orders, now.day, cuts.scores)
        is_lost = not in_window(now.world, orders, now.day)
        return "lost" if is_lost else segment_of(*(scores[m] for m in ("recency_days", "frequency", "monetary")))

    return {user: segment(user) for user in now.users}


def value_tier(now: AsOf, cuts: Cuts) -> dict[str, str]:
    """By the scores of frequency and money."""
    world = now.world

    def segment(user: str) -> str:
        orders = now.orders.get(user, [])
        if not orders:
            return "no_orders"
        scores = scored(world, orders, now.day, cuts.scores)
        f, m = scores["frequency"], scores["monetary"]
        if f >= world.value_tier_very_good_score and m >= world.value_tier_very_good_score:
            return "very_good"
        if f + m >= world.value_tier_good_sum:
            return "good"
        return "average" if f + m >= world.value_tier_average_sum else "occasional"

    return {user: segment(user) for user in now.users}


def loyalty_basket(now: AsOf, cuts: Cuts) -> dict[str, str]:
    """How often and how much at once."""
    world = now.world

    def segment(user: str) -> str:
        orders = now.orders.get(user, [])
        if not orders:
            return "no_orders"
        recent = [order for order in orders if now.is_in_last(order.day, world.order_year_days)]
        mean = mean_order_value(now, orders)
        is_large = mean is not None and cuts.median is not None and mean >= cuts.median
        is_frequent = len(recent) >= world.loyalty_basket_frequent_orders
        return f"{'frequent' if is_frequent else 'rare'}_{'large' if is_large else 'small'}"

    return {user: segment(user) for user in now.users}


def recut_segments(now: AsOf) -> dict[str, dict[str, object]]:
    """The three families under the previous cut points, for users whom these put elsewhere in at least one."""
    current, previous = current_cuts(now), previous_cuts(now)
    if previous is None or not previous.scores.cuts["monetary"]:
        return {}
    rows: dict[str, dict[str, object]] = {}
    families = {"rfm": rfm, "value_tier": value_tier, "loyalty_basket": loyalty_basket}
    before = {name: family(now, previous) for name, family in families.items()}
    after = {name: family(now, current) for name, family in families.items()}
    for user in now.users:
        if any(before[name][user] != after[name][user] for name in families):
            rows[user] = {name: before[name][user] for name in families}
    return rows
