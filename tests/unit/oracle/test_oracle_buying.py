"""Lifecycle, pauses after an order, value tiers, baskets and recut segments, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from people import D, ago, order, row_of, segment_of

from tests.properties import oracle
from tests.properties.oracle import World


@pytest.mark.parametrize(
    ("ages", "segment"),
    [
        ((), "prospect"),
        ((-1,), "prospect"),
        ((366,), "churned"),
        ((366, 367, 368, 369), "churned"),
        ((365,), "lapsed"),
        ((181,), "lapsed"),
        ((180,), "lapsing"),
        ((91,), "lapsing"),
        ((90,), "first_time_buyer"),
        ((90, 100, 200, 364), "loyal"),
        ((90, 100, 200, 365), "repeat_buyer"),
        ((0, 400), "repeat_buyer"),
    ],
)
def test_lifecycle(ages, segment):
    assert segment_of("lifecycle", orders=[order(age) for age in ages]) == segment


@pytest.mark.parametrize(
    ("ages", "segment"),
    [
        ((), "none"),
        ((0,), "in_follow_up"),
        ((7,), "in_follow_up"),
        ((8,), "cycle_due"),
        ((30,), "cycle_due"),
        ((31,), "none"),
        ((31, 3), "in_follow_up"),
    ],
)
def test_post_purchase(ages, segment):
    assert segment_of("post_purchase", orders=[order(age) for age in ages]) == segment


def tiers(orders, **settings):
    rows = oracle.families_as_of(World(orders=orders, rfm_cut_policy="daily", **settings), D)["value_tier"]
    return {user: row["segment"] for user, row in rows.items()}


def test_value_tier():
    # u1 … u5 order 1 … 5 times, each time for 10: the cuts of F are 1.8, 2.6, 3.4, 4.2, so that F and M are 1 … 5.
    orders = [order(1, user_id=f"u{n}") for n in range(1, 6) for _ in range(n)]
    assert tiers(orders) == {"u1": "occasional", "u2": "average", "u3": "average", "u4": "very_good", "u5": "very_good"}
    # M 5 with F 1 is 6: average; M 5 with F 2 is 7: good.
    assert tiers([*orders, order(1, "99", user_id="u1")])["u1"] == "average"
    assert tiers([*orders, order(1, "99", user_id="u2")])["u2"] == "good"
    assert tiers([*orders, order(365, user_id="old")])["old"] == "occasional"
    assert tiers([order(status="cancelled")]) == {"u": "no_orders"}


def baskets(*orders, **settings):
    settings.setdefault("rfm_cut_policy", "daily")
    rows = oracle.families_as_of(World(orders=orders, **settings), D)["loyalty_basket"]
    return {user: row["segment"] for user, row in rows.items()}


def test_loyalty_basket():
    a = [order(age, "30", user_id="a") for age in (0, 1, 364)]
    b = [order(0, "10", user_id="b") for _ in range(2)]
    c = [order(age, "20", user_id="c") for age in (0, 1, 365)]
    # The means are 30, 10, 20; their median is 20.
    assert baskets(*a, *b, *c) == {"a": "frequent_large", "b": "rare_small", "c": "rare_large"}
    d = [order(0, "15", user_id="d") for _ in range(3)]
    assert baskets(*a, *b, *c, *d)["c"] == "rare_large"  # the median is 17.5
    assert baskets(*a, *b, *c, *d)["d"] == "frequent_small"


def test_the_mean_is_that_of_the_year_else_of_all():
    old = [order(365, "40", user_id="a"), order(10, "8", user_id="a")]
    assert baskets(*old, order(1, "9", user_id="b")) == {"a": "rare_small", "b": "rare_large"}
    without_rate = [order(365, "40", user_id="a"), order(10, "8", user_id="a", currency="XXX")]
    # a has a mean, that of all orders, but none in the year, so the median is that of b alone
    assert baskets(*without_rate, order(1, "9", user_id="b")) == {"a": "rare_large", "b": "rare_large"}
    # who has no order in the year is not in the median, but is compared with it
    assert baskets(order(365, "40", user_id="a"), order(1, "9", user_id="b"))["a"] == "rare_large"
    assert baskets(order(1, currency="XXX")) == {"u": "rare_small"}


def test_the_median_is_of_the_cut_date():
    # On 31 May a, b and c had means of 10, 20 and 30; in June a has bought for 90.
    orders = [order(20, gross, user_id=user) for user, gross in (("a", "10"), ("b", "20"), ("c", "30"))]
    orders.append(order(1, "90", user_id="a"))
    monthly = {"rfm_cut_policy": "monthly", "rfm_min_cut_population": 3}
    assert baskets(*orders, **monthly) == {"a": "rare_large", "b": "rare_large", "c": "rare_large"}
    assert baskets(*orders)["b"] == "rare_small"
    assert baskets(*orders, **{**monthly, "rfm_min_cut_population": 4})["b"] == "rare_small"


def test_recut_segments():
    # Yesterday a's 10 was all there was; today b's 100 lies above it.
    orders = [order(5, "10", user_id="a"), order(0, "100", user_id="b")]
    world = World(orders=orders, rfm_cut_policy="daily")
    cuts = oracle.previous_cut_points(world, D)
    assert cuts.computed_as_of == date(2024, 6, 14)
    assert cuts.cuts["monetary"] == (10, 10, 10, 10)
    # The scores are the same, but the median of yesterday is 10, that of today 55.
    assert oracle.recut_segments_as_of(world, D) == {
        "a": {"rfm": "lost", "value_tier": "occasional", "loyalty_basket": "rare_large"}
    }
    more = [*orders, order(5, "5", user_id="c")]
    world = World(orders=more, rfm_cut_policy="daily")
    # Yesterday a and c had 10 and 5: cuts 6, 7, 8, 9, so that a had M 5; today 5, 10, 100 are cut at 7 and 9: M 3.
    assert oracle.families_as_of(world, D)["value_tier"]["a"]["segment"] == "average"
    assert oracle.recut_segments_as_of(world, D)["a"]["value_tier"] == "average"
    assert oracle.recut_segments_as_of(world, D)["a"]["rfm"] == "at_risk"  # R 1, FM 3
    assert oracle.recut_segments_as_of(World(orders=more, rfm_cut_policy="fixed", fixed_cuts=_FIXED), D) == {}
    assert oracle.recut_segments_as_of(World(orders=orders[1:], rfm_cut_policy="daily"), D) == {}


_FIXED = {name: tuple(map(Decimal, (1, 2, 3, 4))) for name in ("recency_days", "frequency", "monetary")}


def test_previous_cut_points():
    orders = [order(age, user_id=f"u{age}") for age in (1, 20, 60)]
    world = World(orders=orders, rfm_min_cut_population=1)
    assert oracle.cut_points(world, D).computed_as_of == date(2024, 5, 31)
    assert oracle.previous_cut_points(world, D).computed_as_of == date(2024, 4, 30)
    # in April there was one buyer, in May two: the previous are of the day before, or both are
    two = World(orders=orders, rfm_min_cut_population=2)
    assert oracle.cut_points(two, D).computed_as_of == date(2024, 5, 31)
    assert oracle.previous_cut_points(two, D).computed_as_of == date(2024, 6, 14)
    three = World(orders=orders, rfm_min_cut_population=3)
    assert oracle.cut_points(three, D).computed_as_of == D
    assert oracle.previous_cut_points(three, D).computed_as_of == date(2024, 6, 14)


def test_an_order_refunded_later_counts_until_then():
    refunded = {**order(8), "status": "refunded", "updated_at": datetime(2024, 6, 15, tzinfo=UTC)}
    assert segment_of("lifecycle", orders=[refunded]) == "prospect"
    assert segment_of("lifecycle", day=date(2024, 6, 14), orders=[refunded]) == "first_time_buyer"
    assert row_of("post_purchase", day=date(2024, 6, 14), orders=[refunded]) == {"segment": "in_follow_up"}
    assert ago(8) == refunded["ordered_at"]
