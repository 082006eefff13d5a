"""Rounding, and the table of decay factors."""

from __future__ import annotations

import hashlib
from decimal import ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from functools import cache

_WIDE = Context(prec=60)


def rounded(value: Decimal | Fraction | int, places: int) -> Decimal:
    """``value`` rounded to ``places`` decimals, halves away from zero, exactly."""
    scaled = Fraction(value) * 10**places
    whole = (2 * abs(scaled.numerator) + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole if scaled >= 0 else -whole).scaleb(-places, _WIDE)


def number(value: object) -> Decimal:
    """A number of the raw contract, DECIMAL(18,6); null is 0."""
    return Decimal(0) if value is None else Decimal(str(value)).quantize(Decimal("0.000001"), ROUND_HALF_UP)


@cache
def decay_factor(age: int) -> Decimal:
    """2^(−age / 7) as DECIMAL(18,9)."""
    power = _WIDE.power(Decimal(2), _WIDE.divide(Decimal(-age), Decimal(7)))
    return power.quantize(Decimal("0.000000001"), ROUND_HALF_UP)


def bucket(purpose: str, salt: str, user: str) -> Fraction:
    """Where in [0, 1) a user falls."""
    digest = hashlib.md5(f"{purpose}|{salt}|{user}".encode(), usedforsecurity=False).hexdigest()
    return Fraction(int(digest[:8], 16), 2**32)
