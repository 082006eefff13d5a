"""The segment family buyer_recency."""

from __future__ import annotations

from datetime import date

from .orders import Order


def buyer_recency_segment(orders: list[Order], day: date) -> str:
    """By the age of the last order ever."""
    if not orders:
        return "potential"
    age = (day - max(order.day for order in orders)).days
    for segment, days in (("week", 7), ("month", 30), ("year", 365)):
        if age <= days:
            return segment
    return "older"
