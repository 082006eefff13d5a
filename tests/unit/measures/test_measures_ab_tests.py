"""A/B tests against statsmodels and scipy on random data, and against worlds whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower
from statsmodels.stats.proportion import confint_proportions_2indep, power_proportions_2indep, proportions_ztest
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from orchestration.measures.ab_tests import (
    Arm,
    Limits,
    Result,
    balance,
    compare_means,
    compare_shares,
    detectable_mean,
    detectable_share,
    holm,
    judge,
    with_holm,
)

LIMITS = Limits(significance=0.05, power=0.8, balance_p=0.001, min_users=100)
DAY = date(2026, 6, 1)
ENDED = (DAY, date(2026, 6, 30), False)
RUNNING = (DAY, None, True)
Draw = np.random.Generator


def share_arm(successes: int, users: int, name: str = "a", **more: Any) -> Arm:
    total = Fraction(int(successes))
    return Arm(name, users, users, total, total, **more)


def mean_arm(values: np.ndarray[Any, Any], name: str = "a") -> Arm:
    cents = [int(value) for value in np.round(values * 100)]
    total = Fraction(sum(cents), 100)
    return Arm(name, len(cents), len(cents), total, Fraction(sum(cent * cent for cent in cents), 10_000))


def revenues(draw: Draw, users: int, share: float, mean: float) -> np.ndarray[Any, Any]:
    """What users spend: most nothing, some a skewed amount, in cents."""
    return np.round((draw.random(users) < share) * draw.gamma(2.0, mean / 2, users), 2)


# against the libraries


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_compared_as_statsmodels_does(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n1, n2 = (int(n) for n in draw.integers(5, 5_000, 2))
    x1, x2 = int(draw.binomial(n1, draw.random())), int(draw.binomial(n2, draw.random() * 0.2))
    found = compare_shares(share_arm(x1, n1), share_arm(x2, n2), 0.05)
    assert found.p_value == pytest.approx(proportions_ztest([x2, x1], [n2, n1])[1], rel=1e-9)
    interval = confint_proportions_2indep(x2, n2, x1, n1, compare="diff", method="newcomb", alpha=0.05)
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_means_are_compared_as_scipy_and_statsmodels_do(seed: int) -> None:
    draw = np.random.default_rng(seed)
    n1, n2 = (int(n) for n in draw.integers(5, 5_000, 2))
    one, two = revenues(draw, n1, 0.5, 40), revenues(draw, n2, 0.7, 60)
    found = compare_means(mean_arm(one), mean_arm(two), 0.05)
    assert found.p_value == pytest.approx(stats.ttest_ind(two, one, equal_var=False).pvalue, rel=1e-6)
    interval = CompareMeans(DescrStatsW(two), DescrStatsW(one)).tconfint_diff(alpha=0.05, usevar="unequal")
    assert (found.low, found.high) == pytest.approx(interval, abs=1e-6)


def test_many_tests_are_corrected_as_statsmodels_does() -> None:
    draw = np.random.default_rng(1)
    for size in (1, 2, 7, 30):
        p_values = [float(p) for p in draw.random(size) ** 4]
        p_values[-1] = p_values[0]
        assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]))


@pytest.mark.parametrize(("share", "n1", "n2"), [(0.02, 20_000, 20_000), (0.3, 500, 4_500), (0.0, 1_000, 900)])
def test_a_detectable_share_has_its_power(share: float, n1: int, n2: int) -> None:
    effect = detectable_share(share, (n1, n2), 0.05, 0.8)
    assert effect is not None
    found = power_proportions_2indep(effect, share, n2, ratio=n1 / n2, alpha=0.05, return_results=False)
    assert found == pytest.approx(0.8, abs=0.002)


def test_no_rise_is_great_enough_where_nearly_all_do_it() -> None:
    assert detectable_share(0.999, (100, 100), 0.05, 0.8) is None


def test_a_detectable_mean_has_its_power() -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(20, 5, 3_000)
    one = mean_arm(values)
    effect = detectable_mean(one, one, 0.05, 0.8) / one.variance**0.5
    assert TTestIndPower().power(effect, 3_000, 0.05) == pytest.approx(0.8, abs=0.002)


def test_the_sizes_of_arms_are_compared_as_scipy_does() -> None:
    arms = [share_arm(0, users, share=Fraction(share, 10)) for users, share in ((5_100, 5), (2_900, 3), (2_000, 2))]
    expected = stats.chisquare([5_100, 2_900, 2_000], [5_000, 3_000, 2_000]).pvalue
    assert balance(arms) == pytest.approx(expected)
    # as nobody has said, equally many
    arms = [share_arm(0, users) for users in (520, 480)]
    assert balance(arms) == pytest.approx(stats.chisquare([520, 480]).pvalue)
    assert balance([share_arm(0, 0), share_arm(0, 0)]) is None
    assert balance([share_arm(0, 10, share=Fraction(1)), share_arm(0, 1, share=Fraction(0))]) == 0


# what a result says and does not say


def judged(*arms: Arm, metric: str = "order", period: tuple[date, date | None, bool] = ENDED) -> list[Result]:
    return with_holm(judge("c", "variants", metric, arms, period, LIMITS), LIMITS.significance)


def test_a_test_that_is_done() -> None:
    (result,) = judged(share_arm(100, 1_000, "a"), share_arm(150, 1_000, "b"))
    assert (result.status, result.control, result.variant) == ("done", "a", "b")
    assert (result.control_value, result.variant_value, result.difference) == pytest.approx((0.1, 0.15, 0.05))
    assert result.p_value == result.p_value_holm == pytest.approx(0.000723, abs=1e-6)
    assert result.is_significant
    assert result.interval_low is not None and 0 < result.interval_low < 0.05


def test_before_its_end_a_test_has_no_p_value() -> None:
    (result,) = judged(share_arm(100, 1_000), share_arm(150, 1_000, "b"), period=RUNNING)
    assert result.status == "running"
    assert (result.p_value, result.p_value_holm, result.is_significant) == (None, None, None)
    assert result.difference == pytest.approx(0.05)


def test_arms_of_wrong_sizes_are_not_read() -> None:
    (result,) = judged(share_arm(100, 1_000), share_arm(150, 1_200, "b"))
    assert result.status == "unbalanced"
    assert result.balance_p_value is not None and result.balance_p_value < 0.001
    assert (result.difference, result.interval_low, result.p_value, result.minimum_detectable_effect) == (None,) * 4
    # as they were to be
    halves = [share_arm(100, 1_000, share=Fraction(10, 22)), share_arm(150, 1_200, "b", share=Fraction(12, 22))]
    assert judged(*halves)[0].status == "done"


@pytest.mark.parametrize(
    ("arms", "is_small"),
    [
        ((share_arm(50, 100), share_arm(50, 100)), False),
        ((share_arm(50, 99), share_arm(50, 100)), True),
        ((share_arm(5, 100), share_arm(5, 100)), False),
        ((share_arm(5, 100), share_arm(4, 100)), True),
        ((share_arm(95, 100), share_arm(96, 100)), True),
        ((share_arm(0, 0), share_arm(0, 0)), True),
    ],
)
def test_too_small_is_said(arms: tuple[Arm, Arm], is_small: bool) -> None:
    (result,) = judged(*arms)
    assert (result.status == "too_small") == is_small == (result.p_value is None)


def test_revenue_needs_somebody_who_ordered() -> None:
    nobody = mean_arm(np.zeros(200))
    assert judged(nobody, nobody, metric="revenue")[0].status == "too_small"
    some = mean_arm(np.asarray([10.0] * 5 + [0.0] * 195))
    (result,) = judged(nobody, replace(some, name="b"), metric="revenue")
    assert (result.status, result.difference) == ("done", 0.25)


def test_each_variant_is_compared_with_the_first_and_corrected_for_all() -> None:
    arms = [share_arm(100, 1_000, "a"), share_arm(150, 1_000, "b"), share_arm(101, 1_000, "c")]
    b, c = judged(*arms)
    assert [(result.control, result.variant) for result in (b, c)] == [("a", "b"), ("a", "c")]
    assert b.p_value is not None and b.p_value_holm == pytest.approx(2 * b.p_value)


# many worlds with a known truth

WORLDS = 2_000


def _shares(draw: Draw, effect: float) -> tuple[Arm, Arm]:
    return share_arm(draw.binomial(900, 0.08), 900), share_arm(draw.binomial(1_100, 0.08 + effect), 1_100)


def _means(draw: Draw, effect: float) -> tuple[Arm, Arm]:
    # the mean of a user is share x mean of an order
    return mean_arm(revenues(draw, 600, 0.2, 50)), mean_arm(revenues(draw, 400, 0.2, 50 + effect / 0.2))


@pytest.mark.parametrize(
    ("worlds", "arms", "compare", "effect"),
    [(WORLDS, _shares, compare_shares, 0.03), (WORLDS // 4, _means, compare_means, 4.0)],
)
def test_intervals_cover_the_truth_and_nothing_is_rarely_something(
    worlds: int, arms: Callable[[Draw, float], tuple[Arm, Arm]], compare: Callable[..., Any], effect: float
) -> None:
    """95 % intervals cover in about 95 %; under no effect about 5 % are significant; give or take 3 errors."""
    draw = np.random.default_rng(7)
    covered = significant = 0
    for _ in range(worlds):
        found = compare(*arms(draw, effect), 0.05)
        covered += found.low <= effect <= found.high
        significant += compare(*arms(draw, 0.0), 0.05).p_value < 0.05
    margin = 3 * (0.05 * 0.95 / worlds) ** 0.5
    assert covered / worlds == pytest.approx(0.95, abs=margin)
    assert significant / worlds == pytest.approx(0.05, abs=margin)


def test_with_many_variants_a_campaign_without_effect_is_rarely_a_success() -> None:
    """Holm keeps the chance of a single false success of a campaign at 5 %, and no test of it would be at 5 % alone."""
    draw, worlds = np.random.default_rng(8), WORLDS // 4
    arms = [[share_arm(draw.binomial(1_000, 0.1), 1_000, name) for name in "abcd"] for _ in range(worlds)]
    results = [judged(*arms_of_one) for arms_of_one in arms]
    false = sum(any(result.is_significant for result in of_one) for of_one in results) / worlds
    assert false < 0.05 + 3 * (0.05 * 0.95 / worlds) ** 0.5
    alone = sum(any((result.p_value or 1) < 0.05 for result in of_one) for of_one in results) / worlds
    assert alone > 0.07


def test_the_detectable_effect_is_found_in_four_of_five_worlds() -> None:
    draw = np.random.default_rng(9)
    effect = detectable_share(0.1, (1_000, 1_000), 0.05, 0.8)
    assert effect is not None
    found = [
        compare_shares(
            share_arm(draw.binomial(1_000, 0.1), 1_000), share_arm(draw.binomial(1_000, 0.1 + effect), 1_000), 0.05
        ).p_value
        < 0.05
        for _ in range(WORLDS)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=3 * (0.8 * 0.2 / WORLDS) ** 0.5)
