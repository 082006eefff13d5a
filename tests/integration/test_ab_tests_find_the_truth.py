"""A/B tests through the models, on shops whose truth is known: everybody lives once with each variant.

The difference between those two shops is the effect. The test sees only the shop in which chance gives each person
one of the variants.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from data.simulator.parameters import Campaign, Parameters, Variant
from data.simulator.shop import Shop
from tests import compiled_sql
from tests.loop import Loop

Row = dict[str, Any]
A, B = Variant("A"), Variant("B", 2.5, 1.5)
USERS, DAYS, TESTS = 3_000, 48, 10
#: Windows of visits are over on it.
LAST = date(2026, 6, 30)
METRICS = ("click", "order", "revenue", "visit")


def campaigns(kind: str, variants: tuple[Variant, ...], offset: int) -> list[Campaign]:
    """A mail every three days to everybody, each a campaign of its own."""
    return [
        Campaign(
            f"{kind}_{number}",
            f"{kind} {number}",
            "email",
            "sale",
            (0, 1, 2, 3, 4, 5, 6),
            0,
            first=3 * number + offset,
            last=3 * number + offset + 1,
            variants=variants,
        )
        for number in range(TESTS)
    ]


def lived(compiled: compiled_sql.Compiled, folder: Path, of_a_test: tuple[Variant, ...]) -> compiled_sql.World:
    """A shop that has lived its days with these variants, as the models see it on its last day."""
    same = (Variant("A"), Variant("B"))
    calendar = (*campaigns("effect", of_a_test, 0), *campaigns("none", same, 1))
    parameters = Parameters(users=USERS, days=DAYS, seed=23, last_day=LAST, dirt=0, late_messages=0, calendar=calendar)
    world = compiled_sql.World(compiled)
    Loop(Shop(parameters), world, folder).begin(DAYS)
    world.build(LAST)
    return world


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Row], dict[tuple[str, str], float]]:
    """What the tests say, and the true difference by campaign and metric."""
    whole = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    compiled = whole.only(["int_ab_test_arms", "ab_test_results"])
    values: dict[str, dict[tuple[str, str], float]] = {}
    for variant in (A, B):
        world = lived(compiled, tmp_path_factory.mktemp(f"all_{variant.name}"), (variant,))
        values[variant.name] = {
            (row["campaign_id"], row["metric"]): float(row["total"]) / row["users"]
            for row in world.rows("int_ab_test_arms")
            if row["campaign_id"].startswith("effect") and row["users"]
        }
        world.close()
    world = lived(compiled, tmp_path_factory.mktemp("split"), (A, B))
    world.measure("ab_test_results")
    found = world.rows("ab_test_results")
    world.close()
    truth = {key: values["B"][key] - values["A"][key] for key in values["A"]}
    return [row for row in found if row["metric"] in METRICS], truth


def test_intervals_hold_the_truth(results: tuple[list[Row], dict[tuple[str, str], float]]) -> None:
    rows, truth = results
    of_tests = [row for row in rows if row["campaign_id"].startswith("effect")]
    assert {row["status"] for row in of_tests} <= {"done", "too_small"}
    told = [row for row in of_tests if row["status"] == "done"]
    assert len(told) >= 3 * TESTS
    missed = [
        row
        for row in told
        if not row["interval_low"] <= truth[row["campaign_id"], row["metric"]] <= row["interval_high"]
    ]
    # of 40 intervals two miss; more than six in one of two hundred worlds if they were independent
    assert len(missed) <= 0.16 * len(told), missed
    clicks = [row for row in told if row["metric"] == "click"]
    assert all(truth[row["campaign_id"], "click"] > 0 for row in clicks)
    assert sum(row["difference"] > 0 for row in clicks) >= 0.9 * len(clicks)
    assert sum(row["is_significant"] for row in clicks) >= 1


def test_no_effect_is_rarely_significant(results: tuple[list[Row], dict[tuple[str, str], float]]) -> None:
    rows, _ = results
    told = [row for row in rows if row["campaign_id"].startswith("none") and row["status"] == "done"]
    assert len(told) >= 3 * TESTS
    assert sum(row["p_value"] < 0.05 for row in told) <= 0.16 * len(told)
    assert sum(row["is_significant"] for row in told) <= 2
