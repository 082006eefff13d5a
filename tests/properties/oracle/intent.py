"""Families of what somebody may be about to buy: purchase_stage, lead_temperature, category_affinity, abandonment."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from .as_of import AsOf
from .contacts import is_human_click
from .numbers import decay_factor, rounded
from .versions import deduplicated
from .world import Row

#: The ladder, from the top.
STAGES = ("most_aware", "product_aware", "solution_aware", "problem_aware", "unaware")


def purchase_stage(now: AsOf) -> dict[str, str]:
    """The highest stage of the last 30 days; a click on a message is the lowest step."""
    days = now.world.purchase_stage_days

    def segment(user: str) -> str:
        stages = {
            now.meaning(event).awareness_stage for event in now.events(user) if now.is_in_last(event["timestamp"], days)
        }
        for event in now.events_of_messages(user):
            is_click = is_human_click(event) or event["event"] == "replied"
            if is_click and now.is_in_last(event["occurred_at"], days):
                stages.add("problem_aware")
        return next((stage for stage in STAGES if stage in stages), "unaware")

    return {user: segment(user) for user in now.users}


def lead_temperature(now: AsOf) -> dict[str, dict[str, object]]:
    """How near to buying somebody is since the last order, with the score."""
    world = now.world
    rows: dict[str, dict[str, object]] = {}
    for user in now.users:
        ordered_at = now.last_ordered_at(user)
        signals = [e for e in now.events(user) if ordered_at is None or e["timestamp"] > ordered_at]
        sum_ = Decimal(0)
        for event in signals:
            if now.is_in_last(event["timestamp"], world.lead_days):
                sum_ += now.meaning(event).intent_weight * decay_factor(now.age(event["timestamp"]))
        score = rounded(sum_, 6)
        view_dates = {
            world.date_of(event["timestamp"])
            for event in signals
            if now.meaning(event).event_class == "product_view"
            and now.is_in_last(event["timestamp"], world.lead_hot_view_days)
        }
        if score >= world.lead_hot_score or len(view_dates) >= world.lead_hot_view_dates:
            segment = "hot"
        else:
            segment = "warm" if score >= world.lead_warm_score else "cold"
        rows[user] = {"segment": segment, "lead_score": score}
    return rows


def _interests(now: AsOf, user: str) -> dict[str, list[tuple[Fraction, datetime]]]:
    """For each category the weight and time of each signal of 90 days."""
    world = now.world
    signals: list[tuple[str | None, Decimal | int, datetime]] = []
    for event in now.events(user):
        weight = now.meaning(event).interest_weight
        if weight > 0 and now.is_in_last(event["timestamp"], world.affinity_days):
            signals.append((now.category(event), weight, event["timestamp"]))
    times = {o.order_id: o.ordered_at for o in now.orders.get(user, []) if now.is_in_last(o.day, world.affinity_days)}
    for line in deduplicated(world, "order_items"):
        if line["order_id"] in times:
            signals.append((now.category(line), world.affinity_line_weight, times[line["order_id"]]))
    interests: dict[str, list[tuple[Fraction, datetime]]] = {}
    for category, signal_weight, time in signals:
        if category is not None:
            interests.setdefault(category, []).append((Fraction(signal_weight), time))
    return interests


def category_affinity(now: AsOf) -> dict[str, dict[str, object]]:
    """The category that has at least half of somebody's interest, with its share and the next one."""
    world = now.world
    rows: dict[str, dict[str, object]] = {}
    for user in now.users:
        interests = _interests(now, user)
        weights = {category: sum(weight for weight, _ in signals) for category, signals in interests.items()}
        latest = {category: max(time for _, time in signals) for category, signals in interests.items()}
        total = sum(weights.values())
        ranking = sorted(interests)
        ranking.sort(key=lambda category: latest[category], reverse=True)
        ranking.sort(key=lambda category: weights[category], reverse=True)
        affinities = [
            category
            for category in ranking
            if weights[category] / total >= Fraction(world.affinity_min_share)
            and len(interests[category]) >= world.affinity_min_signals
        ]
        first = next(iter(affinities or ranking), None)
        others = [category for category in ranking if category != first]
        rows[user] = {
            "segment": affinities[0] if affinities else "no_affinity",
            "share": None if first is None else rounded(Fraction(weights[first] / total), 6),
            "runner_up": others[0] if others else None,
        }
    return rows


def abandonment(now: AsOf) -> dict[str, dict[str, object]]:
    """What somebody began on the date and left, with product and category of the last event of it."""
    rows: dict[str, dict[str, object]] = {}
    for user in now.users:
        bought = [order.ordered_at for order in now.orders.get(user, [])]
        bought += [event["timestamp"] for event in now.events(user, "purchase")]
        removed = now.events(user, "cart_remove")

        def is_left(event: Row, bought: list[datetime] = bought, removed: list[Row] = removed) -> bool:
            if now.age(event["timestamp"]) != 0 or any(time >= event["timestamp"] for time in bought):
                return False
            return now.meaning(event).event_class != "cart_add" or not any(
                row["timestamp"] >= event["timestamp"] and row.get("product_id") == event.get("product_id")
                for row in removed
            )

        row: dict[str, object] = {"segment": "none", "product_id": None, "category": None}
        for segment, name in (
            ("search", "search"),
            ("product", "product_view"),
            ("cart", "cart_add"),
            ("checkout", "checkout"),
        ):
            left = [event for event in now.events(user, name) if is_left(event)]
            if left:
                last = max(left, key=lambda event: (event["timestamp"], event["event_id"]))
                row = {"segment": segment, "product_id": last.get("product_id"), "category": now.category(last)}
        rows[user] = row
    return rows
