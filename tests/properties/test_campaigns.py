"""Random worlds: what campaigns brought and what the arms of tests did, against the plain-Python oracle, row by row."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from orchestration.landing.contract import DATASETS
from orchestration.warehouse.planned import COLUMNS
from tests import compiled_sql
from tests.properties import oracle
from tests.properties.setups import SETUPS, Setup
from tests.properties.test_rules import difference, keyed, seeds_of
from tests.properties.worlds import DATES, make_case, make_policy, write_world

_WORLDS = 28
_PREFIXES = [f"w{number}_" for number in range(_WORLDS)]
_SPLITS = {
    "reactivate_dormant": oracle.CampaignSetting(
        holdout_share=Decimal("0.2"), variants=(("reminder", Decimal("0.5")), ("news", Decimal("0.5")))
    ),
    "second_visit": oracle.CampaignSetting(
        holdout_share=Decimal(0), variants=(("b", Decimal("0.9")), ("a", Decimal("0.1")))
    ),
}
_PLAN_AGES = (-1, 0, 1, 5, 6, 7, 12, 13, 14, 20, 29, 364, 365)


def _one_world(setup: Setup, as_of: date) -> oracle.World:
    """Many worlds as one, since users don't meet; with variants, and with whom plans held out."""
    chooser = random.Random(f"campaigns {setup.name}")
    policy = make_policy(chooser, as_of, _PREFIXES)
    cases = [
        make_case(
            chooser.getrandbits(32),
            settings=False,
            time_zone=setup.time_zone,
            as_of=as_of,
            policy=policy,
            prefix=prefix,
            size=20,
        )
        for prefix in _PREFIXES
    ]
    rows = {name: [row for case in cases for row in case.world.rows(name)] for name in DATASETS}
    rows["campaigns"] = list(cases[0].world.campaigns)
    for message in rows["messages"]:
        if chooser.random() < 0.5:
            campaign = chooser.choice([*_SPLITS, "spring", "spring"])
            message |= {"campaign_id": campaign, "variant": chooser.choice(("control", "blue", "x", None))}
    planned = {}
    for user in [f"{prefix}u{number}" for prefix in _PREFIXES for number in range(1, 9)]:
        for _ in range(chooser.randint(0, 3)):
            campaign, variants = chooser.choice([(name, setting.variants or ()) for name, setting in _SPLITS.items()])
            plan_date = as_of - timedelta(days=chooser.choice(_PLAN_AGES))
            row = {"plan_date": plan_date, "user_id": user, "campaign_id": campaign, "audience": campaign}
            row |= {"channel": "email", "variant": chooser.choice(variants)[0], "message_class": "marketing"}
            kind = chooser.choice((None, None, None, "campaign", "universal"))
            planned[plan_date, user, campaign] = {**row, "holdout_kind": kind}
    settings = {**policy.campaign_settings, **_SPLITS}
    world = replace(cases[0].world, **rows, planned_contacts=list(planned.values()), campaign_settings=settings)
    return setup.of(world)


@pytest.mark.parametrize("setup", SETUPS[:1], ids=lambda setup: setup.name)
def test_campaigns_are_what_the_oracle_says(setup: Setup, tmp_path: Path) -> None:
    as_of = DATES[0]
    world = _one_world(setup, as_of)
    compiled = compiled_sql.compile_project(tmp_path / "compiled", setup.for_dbt)
    built = compiled_sql.World(compiled.only(["campaign_performance", "int_ab_test_arms"]), seeds_of(world))
    try:
        write_world(world, tmp_path / "landing")
        built.load(tmp_path / "landing")
        for row in world.planned_contacts:
            marks = ", ".join("?" for _ in COLUMNS)
            built.con.execute(
                f"insert into raw.planned_contacts ({', '.join(COLUMNS)}) values ({marks})", [row[c] for c in COLUMNS]
            )
        for day in (as_of - timedelta(days=8), as_of):
            built.build(day)
            _check(built, world, day)
    finally:
        built.close()


def _check(built: compiled_sql.World, world: oracle.World, day: date) -> None:
    found = built.rows("campaign_performance")
    wanted = oracle.campaign_performance_as_of(world, day)
    text = difference(
        keyed(found, "campaign_id", "variant", "channel", "engagement"), wanted, f"campaign_performance as of {day}"
    )
    assert not text, text
    assert sum(row["reengaged"] for row in found) > 0
    # the last touch adds up: every order that a message came before is in one row; any touch does not
    (touched,) = built.con.execute(
        "select count(distinct order_id) from build.intermediate.int_message_orders"
    ).fetchall()
    assert sum(row["last_touch_orders"] for row in found) == touched[0] > 0
    assert sum(row["any_touch_orders"] for row in found) > touched[0]
    arms = {
        (row["campaign_id"], row["comparison"], row["arm"], row["metric"]): (
            row["assigned"], row["users"], row["total"], row["total_squares"]
        )
        for row in built.rows("int_ab_test_arms")
        if row["assigned"]
    }  # fmt: skip
    wanted_arms = oracle.ab_test_arms_as_of(world, day)
    wrong = {
        key: (arms.get(key), wanted_arms.get(key))
        for key in arms.keys() | wanted_arms
        if arms.get(key) != wanted_arms.get(key)
    }
    assert not wrong, f"arms as of {day}, found and wanted: {wrong}"
    assert {key[0] for key in arms} == {*_SPLITS, "spring"}
    for metric in ("click", "order", "revenue", "unsubscribe", "visit"):
        assert any(row[2] for key, row in arms.items() if key[3] == metric), metric
