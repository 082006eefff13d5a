"""Rates of providers, made faster for tests."""

from __future__ import annotations

from collections.abc import Mapping

Rates = Mapping[str, tuple[tuple[int, float], ...]]


def faster(rates: Rates, times: float) -> Rates:
    """Return rates with the same counts in windows that are so many times shorter.

    A destination's are best made less fast than its stand-in's: what is sent in time may come a few milliseconds later.
    """
    return {name: tuple((count, seconds / times) for count, seconds in windows) for name, windows in rates.items()}
