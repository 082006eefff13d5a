"""Orders, RFM and buyer recency, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.properties import oracle
from tests.properties.oracle import ExchangeRate, World
from tests.properties.oracle.numbers import rounded
from tests.properties.oracle.orders import orders_as_of
from tests.properties.oracle.rfm import RFM_MAP, ntile, quantile, score, segment_of

D = date(2024, 6, 15)


def order(number, user="u", age=0, gross="10", **values):
    ordered_at = datetime(2024, 6, 15, 12, tzinfo=UTC) - timedelta(days=age)
    return {
        "order_id": f"o{number}",
        "user_id": user,
        "ordered_at": ordered_at,
        "gross_amount": Decimal(gross),
        **values,
    }


def nets(*rows, **settings):
    return [row.net for row in orders_as_of(World(orders=rows, **settings), D)]


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ({}, True),
        ({"status": "placed"}, True),
        ({"status": "cancelled"}, False),
        ({"status": "refunded"}, False),
        ({"refunded_amount": Decimal("9.99")}, True),
        ({"refunded_amount": Decimal("10")}, False),
        ({"refunded_amount": Decimal("8"), "discount_amount": Decimal("2")}, False),
        ({"refunded_amount": Decimal("7.99"), "discount_amount": Decimal("2")}, True),
        ({"refunded_amount": Decimal("0"), "discount_amount": Decimal("10")}, True),
        ({"age": -1}, False),
    ],
)
def test_what_is_an_order(values, counts):
    assert len(nets(order(1, **values))) == counts


def test_net_leaves_out_discount_refund_tax_and_shipping():
    parts = {"discount_amount": 1, "refunded_amount": 2, "tax_amount": 3, "shipping_amount": Decimal("0.5")}
    assert nets(order(1, gross="20", **parts)) == [Decimal("13.50")]


@pytest.mark.parametrize(
    ("gross", "net"), [("0.005", "0.01"), ("0.0149", "0.01"), ("10.005", "10.01"), ("-0.005", "-0.01")]
)
def test_net_is_rounded_half_up_to_cents(gross, net):
    assert nets(order(1, gross=gross)) == [Decimal(net)]


def test_the_rate_is_the_latest_on_or_before_the_date_of_the_order():
    rates = [
        ExchangeRate("USD", D - timedelta(days=10), Decimal("0.5")),
        ExchangeRate("USD", D, Decimal("0.9")),
        ExchangeRate("EUR", D, Decimal("7")),
    ]
    rows = [order(n, age=age, currency="USD", gross="0.03") for n, age in enumerate((11, 10, 1, 0))]
    assert nets(*rows, exchange_rates=rates) == [None, Decimal("0.02"), Decimal("0.02"), Decimal("0.03")]
    assert nets(order(1), order(2, currency="EUR"), exchange_rates=rates) == [Decimal(10), Decimal(10)]


def test_an_order_that_moves_to_another_user_and_date():
    first = order(1, user="a", age=20)
    moved = {**order(1, user="b", age=5), "updated_at": datetime(2024, 6, 14, tzinfo=UTC)}
    world = World(orders=[first, moved])
    assert [(o.user_id, (D - o.day).days) for o in orders_as_of(world, D)] == [("b", 5)]
    assert [o.user_id for o in orders_as_of(world, date(2024, 6, 13))] == ["a"]
    assert oracle.users_as_of(world, D) == {"a", "b"}


@pytest.mark.parametrize(
    ("age", "segment"),
    [(0, "week"), (7, "week"), (8, "month"), (30, "month"), (31, "year"), (365, "year"), (366, "older")],
)
def test_buyer_recency(age, segment):
    world = World(orders=[order(1, age=age), order(2, age=400)])
    assert oracle.family_as_of(world, D, "buyer_recency") == {"u": segment}


def test_without_an_order_a_user_is_potential_and_has_no_rfm():
    world = World(users=[{"user_id": "u"}], orders=[order(1, status="cancelled")])
    assert oracle.family_as_of(world, D, "buyer_recency") == {"u": "potential"}
    assert oracle.family_as_of(world, D, "rfm") == {"u": "no_orders"}
    assert oracle.rfm_as_of(world, D) == {}


@pytest.mark.parametrize(
    ("value", "places", "result"),
    [(Fraction(1, 3), 6, "0.333333"), (Fraction(2, 3), 6, "0.666667"), (Fraction(-5, 2), 0, "-3")],
)
def test_rounding(value, places, result):
    assert rounded(value, places) == Decimal(result)


def test_quantile_interpolates_as_type_7():
    values = [Decimal(v) for v in (1, 2, 4, 8)]
    # Position 3 × 0.2 = 0.6: 1 + 0.6 × 1; position 1.2: 2 + 0.2 × 2; position 2.4: 4 + 0.4 × 4.
    assert [quantile(values, Fraction(k, 5)) for k in (1, 2, 4)] == [
        Decimal("1.6"),
        Decimal("2.4"),
        Decimal("5.6"),
    ]
    assert quantile([Decimal("7.10")], Fraction(1, 5)) == Decimal("7.1")


def test_a_value_on_a_cut_scores_as_if_below_it():
    cuts = [Decimal(v) for v in (1, 2, 3, 4)]
    assert [score("frequency", Decimal(v), cuts) for v in (0, 1, 2, 3, 4, 5)] == [1, 1, 2, 3, 4, 5]
    assert [score("recency_days", Decimal(v), cuts) for v in (0, 1, 2, 3, 4, 5)] == [5, 5, 4, 3, 2, 1]


def test_the_map():
    assert segment_of(5, 5, 5) == segment_of(5, 5, 2) == "champions"  # FM 5, and (5 + 2 + 1) div 2 = 4
    assert segment_of(4, 2, 1) == "potential_loyalist"  # FM 2
    assert segment_of(5, 1, 1) == "new_customers"
    assert segment_of(3, 3, 2) == "need_attention"
    assert segment_of(2, 5, 4) == "cant_lose_them"
    assert segment_of(1, 2, 2) == "hibernating"
    assert segment_of(1, 1, 1) == "lost"
    assert len({name for row in RFM_MAP.values() for name in row}) == 11


def test_the_window_is_365_days():
    row = oracle.rfm_as_of(World(orders=[order(1, age=364), order(2, age=365, gross="7")]), D)["u"]
    assert (row["recency_days"], row["frequency"], row["monetary"]) == (364, 1, Decimal("10.00"))


def test_without_an_order_in_the_window_a_buyer_is_lost_and_enters_no_cut():
    world = World(orders=[order(1, user="old", age=365), order(2, user="new", age=1)], rfm_cut_policy="daily")
    row = oracle.rfm_as_of(world, D)["old"]
    assert [row[name] for name in ("recency_days", "frequency", "monetary")] == [365, 0, 0]
    assert [row[name] for name in ("r_score", "f_score", "m_score", "fm_score")] == [1, 1, 1, 1]
    assert row["segment"] == "lost"
    assert oracle.cut_points(world, D).cuts["recency_days"] == (1, 1, 1, 1)


def test_nobody_in_the_window_gives_no_cuts():
    world = World(orders=[order(1, age=365)])
    assert oracle.cut_points(world, D).cuts["monetary"] == ()
    assert oracle.family_as_of(world, D, "rfm") == {"u": "lost"}


def test_policies_of_cut_points():
    # By 31 May (15 days ago) a and b had bought; c buys in June.
    world = World(
        orders=[order(1, "a", age=20), order(2, "b", age=15), order(3, "c", age=14)], rfm_min_cut_population=2
    )
    monthly = oracle.cut_points(world, D)
    assert monthly.computed_as_of == date(2024, 5, 31)
    assert monthly.cuts["recency_days"] == (Decimal("1"), Decimal("2"), Decimal("3"), Decimal("4"))
    assert oracle.cut_points(replace(world, rfm_cut_policy="daily"), D).computed_as_of == D
    assert oracle.cut_points(replace(world, rfm_min_cut_population=3), D).computed_as_of == D
    fixed = {m: (Decimal(1), Decimal(2), Decimal(3), Decimal(4)) for m in monthly.cuts}
    assert oracle.cut_points(replace(world, rfm_cut_policy="fixed", fixed_cuts=fixed), D).cuts == fixed


def test_cut_points_are_as_known_on_the_cut_date():
    refunded = {
        **order(1, "a", age=20),
        "status": "refunded",
        "updated_at": datetime(2024, 6, 10, tzinfo=UTC),
    }
    world = World(orders=[refunded, order(2, "b", age=15)], rfm_min_cut_population=2)
    assert oracle.cut_points(world, D).computed_as_of == date(2024, 5, 31)


def test_scores_by_hand():
    # Daily cuts over recency 0, 10, 20, 30, 40 are 8, 16, 24, 32; over money 10 … 50 they are 18, 26, 34, 42.
    rows = [order(n, f"u{n}", age=10 * n, gross=str(50 - 10 * n)) for n in range(5)]
    table = oracle.rfm_as_of(World(orders=rows, rfm_cut_policy="daily"), D)
    assert [table[f"u{n}"]["r_score"] for n in range(5)] == [5, 4, 3, 2, 1]
    assert [table[f"u{n}"]["m_score"] for n in range(5)] == [5, 4, 3, 2, 1]
    assert {row["f_score"] for row in table.values()} == {1}
    assert [table[f"u{n}"]["segment"] for n in range(5)] == [
        "potential_loyalist",  # FM (1 + 5 + 1) div 2 = 3
        "potential_loyalist",  # 3
        "about_to_sleep",  # 2
        "hibernating",  # 2
        "lost",  # 1
    ]


def test_orders_without_a_rate_count_without_value():
    row = oracle.rfm_as_of(World(orders=[order(1, currency="XXX"), order(2, age=3)]), D)["u"]
    assert (row["frequency"], row["monetary"]) == (2, Decimal("10.00"))


def test_repeat_measures():
    rows = [
        order(1, age=400, gross="99"),
        order(2, age=400),
        order(3, age=30),
        order(4, age=30, gross="5"),
        order(5, age=10, gross="2"),
        order(6, age=5, currency="XXX"),
    ]
    row = oracle.rfm_as_of(World(orders=rows), D)["u"]
    assert (row["repeat_frequency"], row["recency"], row["t"]) == (3, 395, 400)
    assert row["mean_repeat_value"] == Decimal("8.5")
    single = oracle.rfm_as_of(World(orders=rows[:2]), D)["u"]
    assert (single["repeat_frequency"], single["recency"], single["mean_repeat_value"]) == (0, 0, 0)


def test_ntile_gives_the_first_tiles_one_more():
    assert ntile({u: Decimal(0) for u in "gfedcba"}) == dict(zip("abcdefg", (1, 1, 2, 2, 3, 4, 5), strict=True))


def test_stability():
    # Everybody bought once, on the same day, for the same sum: every value is a cut; F 1, M 1, R 5.
    rows = [order(n, f"u{n}") for n in range(5)]
    table = oracle.rfm_stability_as_of(World(orders=rows), D)
    assert table["frequency"] == {
        "users_at_cut": 5,
        "missing_scores": [2, 3, 4, 5],
        "ntile_share": Decimal("0.8"),
    }
    assert table["recency_days"]["missing_scores"] == [1, 2, 3, 4]
    assert table["recency_days"]["ntile_share"] == Decimal("0.8")
