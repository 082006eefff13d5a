"""Families of the dates and numbers of orders: buyer_recency, lifecycle, post_purchase."""

from __future__ import annotations

from .as_of import AsOf


def _last_order_ages(now: AsOf) -> dict[str, int]:
    return {user: min(now.age(order.day) for order in orders) for user, orders in now.orders.items()}


def buyer_recency(now: AsOf) -> dict[str, str]:
    """By the age of the last order ever."""
    world, ages = now.world, _last_order_ages(now)

    def segment(user: str) -> str:
        if user not in ages:
            return "potential"
        if ages[user] <= world.buyer_recency_week_days:
            return "week"
        if ages[user] <= world.buyer_recency_month_days:
            return "month"
        return "year" if ages[user] <= world.buyer_recency_year_days else "older"

    return {user: segment(user) for user in now.users}


def lifecycle(now: AsOf) -> dict[str, str]:
    """How far a customer relationship has come."""
    world, ages = now.world, _last_order_ages(now)

    def segment(user: str) -> str:
        orders = now.orders.get(user, [])
        if not orders:
            return "prospect"
        if ages[user] > world.lifecycle_churned_days:
            return "churned"
        if ages[user] > world.lifecycle_lapsed_days:
            return "lapsed"
        if ages[user] > world.lifecycle_lapsing_days:
            return "lapsing"
        if sum(now.is_in_last(order.day, world.order_year_days) for order in orders) >= world.lifecycle_loyal_orders:
            return "loyal"
        return "first_time_buyer" if len(orders) == 1 else "repeat_buyer"

    return {user: segment(user) for user in now.users}


def post_purchase(now: AsOf) -> dict[str, str]:
    """The pause after an order, and the cycle that starts after it."""
    world, ages = now.world, _last_order_ages(now)

    def segment(user: str) -> str:
        if user in ages and ages[user] <= world.post_purchase_follow_up_days:
            return "in_follow_up"
        return "cycle_due" if user in ages and ages[user] <= world.post_purchase_cycle_days else "none"

    return {user: segment(user) for user in now.users}
