"""RFM (rules, section 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from .numbers import rounded
from .orders import Order, orders_by_user
from .world import World

MEASURES = ("recency_days", "frequency", "monetary")

#: The default map: for each R score the segment of FM 5, 4, 3, 2, 1.
RFM_MAP: dict[int, tuple[str, str, str, str, str]] = {
    5: ("champions", "champions", "potential_loyalist", "potential_loyalist", "new_customers"),
    4: ("loyal", "loyal", "potential_loyalist", "potential_loyalist", "promising"),
    3: ("loyal", "loyal", "need_attention", "about_to_sleep", "about_to_sleep"),
    2: ("cant_lose_them", "at_risk", "at_risk", "hibernating", "hibernating"),
    1: ("cant_lose_them", "at_risk", "at_risk", "hibernating", "lost"),
}


@dataclass(frozen=True)
class CutPoints:
    """Four cuts for each measure; ``computed_as_of`` is None where they come from a seed."""

    cuts: Mapping[str, Sequence[Decimal]]
    computed_as_of: date | None


def in_window(world: World, orders: list[Order], day: date) -> list[Order]:
    """The orders of the last 365 days."""
    return [order for order in orders if 0 <= (day - order.day).days <= world.rfm_window_days - 1]


def measures(world: World, orders: list[Order], day: date) -> dict[str, Decimal]:
    """recency_days of all orders; frequency and monetary of those in the window."""
    recent = in_window(world, orders, day)
    return {
        "recency_days": Decimal((day - max(order.day for order in orders)).days),
        "frequency": Decimal(len(recent)),
        "monetary": sum((order.net for order in recent if order.net is not None), Decimal("0.00")),
    }


def quantile(values: Sequence[Decimal], share: Fraction) -> Decimal:
    """The quantile by linear interpolation (type 7), rounded to 6 decimals."""
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = position.numerator // position.denominator
    low = Fraction(ordered[below])
    high = Fraction(ordered[min(below + 1, len(ordered) - 1)])
    return rounded(low + (position - below) * (high - low), 6)


def buyers_in_window(world: World, day: date) -> dict[str, dict[str, Decimal]]:
    """The measures of each user with an order in the window: who enters the cut points."""
    return {
        user: measures(world, orders, day)
        for user, orders in orders_by_user(world, day).items()
        if in_window(world, orders, day)
    }


def cut_date(world: World, day: date) -> date:
    """The date that the policy computes the cut points as of."""
    return day.replace(day=1) - timedelta(days=1) if world.rfm_cut_policy == "monthly" else day


def cut_points_of(world: World, day: date) -> CutPoints:
    """The cut points over the buyers as of ``day``; without any in the window there are none."""
    buyers = buyers_in_window(world, day)
    if not buyers:
        return CutPoints(dict.fromkeys(MEASURES, ()), day)
    cuts = {
        m: tuple(quantile([row[m] for row in buyers.values()], Fraction(k, 5)) for k in (1, 2, 3, 4)) for m in MEASURES
    }
    return CutPoints(cuts, day)


def cut_points(world: World, day: date) -> CutPoints:
    """The cut points that ``day`` is scored with."""
    if world.rfm_cut_policy == "fixed":
        return CutPoints({m: tuple(rounded(cut, 6) for cut in world.fixed_cuts[m]) for m in MEASURES}, None)
    computed = cut_date(world, day)
    if len(buyers_in_window(world, computed)) < world.rfm_min_cut_population:
        computed = day
    return cut_points_of(world, computed)


def score(measure: str, value: Decimal, cuts: Sequence[Decimal]) -> int:
    """1 to 5, 5 being best."""
    below = sum(cut < value for cut in cuts)
    return 5 - below if measure == "recency_days" else 1 + below


def segment_of(r: int, f: int, m: int) -> str:
    """The segment of the default map."""
    return RFM_MAP[r][5 - (f + m + 1) // 2]


def scored(world: World, orders: list[Order], day: date, cuts: CutPoints) -> dict[str, int]:
    """The three scores; 1, 1, 1 without an order in the window."""
    if not in_window(world, orders, day):
        return dict.fromkeys(MEASURES, 1)
    return {m: score(m, value, cuts.cuts[m]) for m, value in measures(world, orders, day).items()}


def repeat_measures(orders: list[Order], day: date) -> dict[str, object]:
    """What buy-till-you-die libraries expect, over all orders.

    A date on which no order has a value is a purchase date, but has no daily total.
    """
    days = sorted({order.day for order in orders})
    totals = []
    for purchase_day in days[1:]:
        values = [order.net for order in orders if order.day == purchase_day and order.net is not None]
        if values:
            totals.append(Fraction(sum(values, Decimal(0))))
    return {
        "repeat_frequency": len(days) - 1,
        "recency": (days[-1] - days[0]).days,
        "t": (day - days[0]).days,
        "mean_repeat_value": rounded(sum(totals, Fraction(0)) / len(totals), 6) if totals else rounded(0, 6),
    }


def rfm(world: World, day: date) -> dict[str, dict[str, object]]:
    """A row for each user with an order ever."""
    cuts = cut_points(world, day)
    rows: dict[str, dict[str, object]] = {}
    for user, orders in orders_by_user(world, day).items():
        values = measures(world, orders, day)
        scores = scored(world, orders, day, cuts)
        r, f, m = (scores[measure] for measure in MEASURES)
        rows[user] = {
            "recency_days": int(values["recency_days"]),
            "frequency": int(values["frequency"]),
            "monetary": values["monetary"],
            "r_score": r,
            "f_score": f,
            "m_score": m,
            "fm_score": (f + m + 1) // 2,
            "segment": segment_of(r, f, m),
            **repeat_measures(orders, day),
        }
    return rows


def ntile(values: Mapping[str, Decimal]) -> dict[str, int]:
    """NTILE(5) over (order by value, user_id)."""
    ordered = sorted(values, key=lambda user: (values[user], user))
    size, larger = divmod(len(ordered), 5)
    tiles = [tile for tile in range(1, 6) for _ in range(size + (tile <= larger))]
    return dict(zip(ordered, tiles, strict=True))


def rfm_stability(world: World, day: date) -> dict[str, dict[str, object]]:
    """By measure, over the buyers in the window: ties at cuts, scores nobody has, what NTILE would change."""
    cuts = cut_points(world, day)
    buyers = buyers_in_window(world, day)
    rows: dict[str, dict[str, object]] = {}
    for measure in MEASURES:
        values = {user: row[measure] for user, row in buyers.items()}
        scores = {user: score(measure, value, cuts.cuts[measure]) for user, value in values.items()}
        tiles = ntile(values)
        differ = sum(scores[user] != (6 - tile if measure == "recency_days" else tile) for user, tile in tiles.items())
        rows[measure] = {
            "users_at_cut": sum(value in cuts.cuts[measure] for value in values.values()),
            "missing_scores": [s for s in range(1, 6) if s not in scores.values()],
            "ntile_share": rounded(Fraction(differ, len(values)), 6) if values else None,
        }
    return rows
