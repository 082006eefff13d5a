"""A/B tests: shares by the pooled z test with Newcombe's interval, means by Welch's t test, Holm over a campaign.

All from sums over the users of an arm, which the model int_ab_test_arms has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from statistics import NormalDist
from typing import Any

import duckdb

#: The metric whose value is a mean; of the others it is the share of the users who did it.
MEAN = "revenue"
#: Of the users that a share needs in each arm: so many who did it and so many who did not, by the pooled share
#: (W. G. Cochran, Some methods for strengthening the common chi-squared tests, Biometrics 10, 1954).
_LEAST_EXPECTED = 5


@dataclass(frozen=True)
class Arm:
    """What the users of an arm whose window is over did in all; ``assigned`` are all its users.

    ``share`` is the part of the users that it was to get; None: nobody said, so as many as the others.
    """

    name: str
    assigned: int
    users: int
    total: Fraction
    total_squares: Fraction
    share: Fraction | None = None

    @property
    def mean(self) -> float | None:
        """The value of a user, None without any."""
        return float(self.total / self.users) if self.users else None

    @property
    def variance(self) -> float:
        """The variance of the users' values, of two users at least."""
        return float((self.total_squares - self.total**2 / self.users) / (self.users - 1))


@dataclass(frozen=True)
class Estimate:
    """What a test says of the difference, variant less control."""

    p_value: float
    low: float
    high: float


@dataclass(frozen=True)
class Limits:
    """The vars of A/B tests."""

    significance: float
    power: float
    balance_p: float
    min_users: int

    @classmethod
    def of(cls, policy: Mapping[str, Any]) -> Limits:
        """Return those of a policy."""
        return cls(
            policy["ab_test_significance"],
            policy["ab_test_power"],
            policy["ab_test_balance_p"],
            policy["ab_test_min_users"],
        )


@dataclass(frozen=True)
class Result:
    """A row of ab_test_results, but for its date; what a status forbids to read is None."""

    campaign_id: str
    comparison: str
    control: str
    variant: str
    metric: str
    status: str
    control_users: int
    variant_users: int
    control_value: float | None
    variant_value: float | None
    difference: float | None
    interval_low: float | None
    interval_high: float | None
    p_value: float | None
    p_value_holm: float | None
    is_significant: bool | None
    minimum_detectable_effect: float | None
    balance_p_value: float | None
    starts_on: date
    ends_on: date | None


def compare_shares(control: Arm, variant: Arm, significance: float) -> Estimate:
    """Compare two shares: the two-sided z test with the pooled variance, and Newcombe's interval of the difference.

    The interval is method 10 of R. G. Newcombe, Interval estimation for the difference between independent
    proportions, Statistics in Medicine 17 (1998): it is made of the Wilson intervals of both shares, and never leaves
    -1 to 1. The p value is 1 where both shares are 0, or both are 1.
    """
    p1, p2 = _mean_of(control), _mean_of(variant)
    pooled = float((control.total + variant.total) / (control.users + variant.users))
    error = math.sqrt(pooled * (1 - pooled) * (1 / control.users + 1 / variant.users))
    difference = p2 - p1
    p_value = math.erfc(abs(difference) / error / math.sqrt(2)) if error else 1.0
    z = _normal_quantile(1 - significance / 2)
    low1, high1 = _wilson(p1, control.users, z)
    low2, high2 = _wilson(p2, variant.users, z)
    return Estimate(
        p_value,
        difference - math.hypot(p2 - low2, high1 - p1),
        difference + math.hypot(high2 - p2, p1 - low1),
    )


def compare_means(control: Arm, variant: Arm, significance: float) -> Estimate:
    """Compare two means without taking their variances for equal: Welch's two-sided t test, and its interval.

    B. L. Welch, The generalization of Student's problem when several different population variances are involved,
    Biometrika 34 (1947); the degrees of freedom are those of F. E. Satterthwaite (1946). One of the variances is not 0.
    """
    from scipy.special import stdtr, stdtrit

    part1, part2 = control.variance / control.users, variant.variance / variant.users
    error = math.sqrt(part1 + part2)
    freedom = (part1 + part2) ** 2 / (part1**2 / (control.users - 1) + part2**2 / (variant.users - 1))
    difference = _mean_of(variant) - _mean_of(control)
    margin = float(stdtrit(freedom, 1 - significance / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(difference) / error))
    return Estimate(p_value, difference - margin, difference + margin)


def detectable_share(control: float, users: tuple[int, int], significance: float, power: float) -> float | None:
    """Return the rise of a share that the test finds with a power, None where no rise is great enough.

    Solves difference = z(1 - significance / 2) x error if there is none + z(power) x error if there is this one
    (J. L. Fleiss, Statistical Methods for Rates and Proportions, chapter 4), with arms of any size.
    """
    z_alpha, z_power = _normal_quantile(1 - significance / 2), _normal_quantile(power)
    n1, n2 = users

    def is_found(difference: float) -> bool:
        share = control + difference
        pooled = (n1 * control + n2 * share) / (n1 + n2)
        if_none = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
        if_this = math.sqrt(control * (1 - control) / n1 + share * (1 - share) / n2)
        return difference >= z_alpha * if_none + z_power * if_this

    low, high = 0.0, 1 - control
    if not is_found(high):
        return None
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if is_found(middle) else (middle, high)
    return high


def detectable_mean(control: Arm, variant: Arm, significance: float, power: float) -> float:
    """Return the difference of two means that the test finds with a power, given the variances as they are."""
    error = math.sqrt(control.variance / control.users + variant.variance / variant.users)
    return (_normal_quantile(1 - significance / 2) + _normal_quantile(power)) * error


def balance(arms: Sequence[Arm]) -> float | None:
    """Return how likely sizes at least as far from the shares are, by Pearson's chi-square; None without users.

    A small one says that something but chance has assigned users or lost some of them, so that the arms are not alike.
    """
    from scipy.special import chdtrc

    assigned = sum(arm.assigned for arm in arms)
    shares = [arm.share for arm in arms]
    if any(share is None for share in shares):
        shares = [Fraction(1, len(arms))] * len(arms)
    expected = [float(assigned * (share or 0)) for share in shares]
    if not assigned or len(arms) < 2:
        return None
    if any(arm.assigned and not wanted for arm, wanted in zip(arms, expected, strict=True)):
        return 0.0
    parts = [(arm.assigned - wanted) ** 2 / wanted for arm, wanted in zip(arms, expected, strict=True) if wanted]
    return float(chdtrc(len(parts) - 1, sum(parts))) if len(parts) > 1 else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p values as they are after so many tests.

    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, least = [0.0] * len(p_values), 0.0
    for place, i in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = least
    return adjusted


def is_too_small(control: Arm, variant: Arm, metric: str, limits: Limits) -> bool:
    """Whether the arms have too few users for what the test takes for given."""
    if min(control.users, variant.users) < max(limits.min_users, 2):
        return True
    if metric == MEAN:
        return control.variance == 0 and variant.variance == 0
    pooled = (control.total + variant.total) / (control.users + variant.users)
    least = min(control.users, variant.users) * min(pooled, 1 - pooled)
    return bool(least < _LEAST_EXPECTED)


def judge(
    campaign_id: str,
    comparison: str,
    metric: str,
    arms: Sequence[Arm],
    period: tuple[date, date | None, bool],
    limits: Limits,
) -> list[Result]:
    """Compare the first arm with each other one. ``period`` is first date, planned end, and whether it still runs."""
    control, starts_on, (ends_on, is_running) = arms[0], period[0], period[1:]
    balance_p = balance(arms)
    is_unbalanced = balance_p is not None and balance_p < limits.balance_p
    found = []
    for variant in arms[1:]:
        too_small = is_too_small(control, variant, metric, limits)
        # before its end a test is told as it stands, but for what invites to stop it: an interval says as much as p
        status = "unbalanced" if is_unbalanced else "running" if is_running else "too_small" if too_small else "done"
        estimate, effect = None, None
        if not is_unbalanced and not too_small:
            compare = compare_means if metric == MEAN else compare_shares
            estimate = compare(control, variant, limits.significance) if status == "done" else None
            effect = _detectable(control, variant, metric, limits)
        difference = None
        if not is_unbalanced and control.users and variant.users:
            difference = _mean_of(variant) - _mean_of(control)
        found.append(
            Result(
                campaign_id,
                comparison,
                control.name,
                variant.name,
                metric,
                status,
                control.users,
                variant.users,
                control.mean,
                variant.mean,
                difference,
                estimate.low if estimate else None,
                estimate.high if estimate else None,
                estimate.p_value if estimate else None,
                None,
                None,
                effect,
                balance_p,
                starts_on,
                ends_on,
            )
        )
    return found


def with_holm(results: Sequence[Result], significance: float) -> list[Result]:
    """Return the results of a campaign with their p values as they are after so many tests."""
    tested = [i for i, result in enumerate(results) if result.p_value is not None]
    found = list(results)
    for i, p_value in zip(tested, holm([results[i].p_value or 0.0 for i in tested]), strict=True):
        found[i] = replace(results[i], p_value_holm=p_value, is_significant=p_value < significance)
    return found


def results(con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of the table ab_test_results, from int_ab_test_arms and the date of the build."""
    limits = Limits.of(policy)
    ((as_of,),) = con.execute("select as_of from marts.build_info").fetchall()
    rows = con.execute(
        "select campaign_id, comparison, metric, arm, assigned, users, total, total_squares, share, starts_on, "
        "ends_on, is_running from intermediate.int_ab_test_arms order by campaign_id, comparison, metric, position"
    ).fetchall()
    found: list[tuple[Any, ...]] = []
    for campaign_id, of_campaign in groupby(rows, key=lambda row: row[0]):
        judged: list[Result] = []
        for (comparison, metric), of_metric in groupby(of_campaign, key=lambda row: row[1:3]):
            arms_of = list(of_metric)
            arms = [_arm(*row[3:9]) for row in arms_of]
            judged += judge(campaign_id, comparison, metric, arms, arms_of[0][9:], limits)
        found += [(as_of, *_row(result)) for result in with_holm(judged, limits.significance)]
    return found


def _arm(name: str, assigned: int, users: int, total: Decimal, total_squares: Decimal, share: Decimal | None) -> Arm:
    return Arm(
        name, assigned, users, Fraction(total), Fraction(total_squares), None if share is None else Fraction(share)
    )


def _row(result: Result) -> tuple[Any, ...]:
    """Return the columns of a result, numbers as they are published: p values with 6 significant digits."""
    row = vars(result)
    p_values = {name: None if row[name] is None else float(f"{row[name]:.6g}") for name in row if "p_value" in name}
    return tuple(
        p_values[name] if name in p_values else round(value, 6) if isinstance(value, float) else value
        for name, value in row.items()
    )


def _detectable(control: Arm, variant: Arm, metric: str, limits: Limits) -> float | None:
    if metric == MEAN:
        return detectable_mean(control, variant, limits.significance, limits.power)
    users = (control.users, variant.users)
    return detectable_share(_mean_of(control), users, limits.significance, limits.power)


def _mean_of(arm: Arm) -> float:
    """The value of a user of an arm that has some."""
    return float(arm.total / arm.users)


def _wilson(share: float, users: int, z: float) -> tuple[float, float]:
    """Return the score interval of a share (E. B. Wilson, 1927)."""
    middle = (share + z**2 / (2 * users)) / (1 + z**2 / users)
    half = z / (1 + z**2 / users) * math.sqrt(share * (1 - share) / users + z**2 / (4 * users**2))
    return middle - half, middle + half


def _normal_quantile(probability: float) -> float:
    return NormalDist().inv_cdf(probability)
