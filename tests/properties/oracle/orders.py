"""Orders as of a date, and what they are worth."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction

from .numbers import number, rounded
from .versions import versions_as_of
from .world import Row, World


@dataclass(frozen=True)
class Order:
    """An order that counts; ``net`` is in the business currency, None without an exchange rate."""

    order_id: str
    user_id: str
    ordered_at: datetime
    day: date
    net: Decimal | None


def is_order(row: Row) -> bool:
    """Placed or completed, and not fully refunded."""
    refunded = number(row.get("refunded_amount"))
    full = number(row.get("gross_amount")) - number(row.get("discount_amount"))
    is_fully_refunded = refunded > 0 and refunded >= full
    return (row.get("status") or "completed") in ("placed", "completed") and not is_fully_refunded


def rate_of(world: World, currency: str | None, day: date) -> Decimal | None:
    """The latest rate on or before ``day``; the business currency, and none, are worth 1."""
    if currency is None or currency == world.business_currency:
        return Decimal(1)
    rates = [r for r in world.exchange_rates if r.currency == currency and r.valid_from <= day]
    return max(rates, key=lambda r: r.valid_from).rate if rates else None


def net_value(world: World, row: Row) -> Decimal | None:
    """gross − discount − refunded − tax − shipping, converted, then rounded to cents."""
    rate = rate_of(world, row.get("currency"), world.date_of(row["ordered_at"]))
    if rate is None:
        return None
    net = number(row.get("gross_amount"))
    for column in ("discount_amount", "refunded_amount", "tax_amount", "shipping_amount"):
        net -= number(row.get(column))
    return rounded(Fraction(net) * Fraction(rate), 2)


def orders_as_of(world: World, day: date) -> list[Order]:
    """Every order dated by the end of ``day``, as it was known then."""
    return [
        Order(
            row["order_id"],
            row["user_id"],
            row["ordered_at"],
            world.date_of(row["ordered_at"]),
            net_value(world, row),
        )
        for row in versions_as_of(world, "orders", day)
        if is_order(row) and world.is_by(row["ordered_at"], day)
    ]


def orders_by_user(world: World, day: date) -> dict[str, list[Order]]:
    """The orders as of ``day`` of each user who has one."""
    users: dict[str, list[Order]] = {}
    for order in orders_as_of(world, day):
        users.setdefault(order.user_id, []).append(order)
    return users
