"""A dose test in the loop: what its arms say is what the caps do, and what users who got more say by themselves is not.

Engaged people get more messages here, as they do everywhere, and mind them less: whoever looks only at who got how many
would think that more of them do little. The truth are the simulator's own chances of leaving, of the same days.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from data.simulator.parameters import CHANNELS, KINDS, Parameters
from data.simulator.relations import Relations
from data.simulator.shop import Shop
from tests import compiled_sql
from tests.loop import Loop
from tests.properties.oracle.numbers import bucket
from tests.properties.setups import AUDIENCES

BEFORE, DAYS = 40, 35
USERS = 2000
SHOP = Parameters(
    users=USERS,
    days=BEFORE + DAYS,
    seed=7,
    dirt=0,
    late_messages=0,
    channels=tuple(
        replace(c, unsubscribes=4 * c.unsubscribes, complains=4 * c.complains, switches_off=0) for c in CHANNELS
    ),
    growth_per_contact=1.0,
    free_contacts=1,
    comes_back=0,
)
MARTS = ("dose_response", "fatigue_curve")
#: Everybody is a candidate every day, so that caps decide; the engaged and the new get more.
SEEDS: dict[str, list[dict[str, Any]]] = {
    "contact_policy": [
        {"policy_segment": segment, "channel": "all", "window_days": 7, "max_contacts": most}
        for segment, most in (("*", 4), ("dormant", 2), ("default", 2), ("one_time", 2), ("fatigued", 1))
    ],
    "channel_gaps": [],
    "blackout_dates": [],
    "campaign_settings": [
        {"campaign_id": name, "holdout_share": 0, "repeat_after_days": 1}
        for name, audience in AUDIENCES.items()
        if audience.message_class == "marketing"
    ],
    "dose_arms": [{"valid_from": SHOP.date_of(BEFORE), "salt": "loop", "share": 0.33}],
}
#: Leaves by what a person minds: 0.2, 0.8, 1.6 or 6 times the usual.
MINDS_LITTLE, MINDS_MUCH = 0, 2
SHARE = 0.33


def expected_leaves(shop: Shop) -> dict[str, float]:
    """By arm what the simulator's chances of leaving add up to, of each person until the first leave."""
    contacts = shop.truth.take_contacts()
    name = Relations(shop.parameters, shop.names).user()
    ids = duckdb.execute(f'select {name} from (select unnest(range({USERS})) as "user") as rows').fetchall()
    order = np.argsort(contacts["day"], kind="stable")
    left: dict[int, int] = {}
    expected: dict[str, float] = defaultdict(float)
    for row in order.tolist():
        user, day, chance = (contacts[name][row].item() for name in ("user", "day", "chance"))
        if day < BEFORE or chance < 0 or day > left.get(user, day):
            continue
        if contacts["way"][row] > 0:
            left.setdefault(user, day)
        place = bucket("dose", "loop", ids[user][0])
        expected["low" if place < SHARE else "high" if place < 2 * SHARE else "control"] += chance
    return expected


def test_arms_say_what_caps_do_and_the_naive_curve_does_not(tmp_path: Path) -> None:
    compiled = compiled_sql.compile_project(tmp_path / "compiled").only(["contact_plan", *MARTS])
    nightly = [model.name for model in compiled.only(["contact_plan"]).models]
    world, shop = compiled_sql.World(compiled, SEEDS), Shop(SHOP)
    engaged = [number for number, kind in enumerate(KINDS) if kind.name in ("regular", "returner")]
    shop.people.sensitivity[:] = np.where(np.isin(shop.people.kind, engaged), MINDS_LITTLE, MINDS_MUCH)
    loop = Loop(shop, world, tmp_path)
    loop.begin(BEFORE)
    for _ in range(DAYS):
        world.build(loop.yesterday, only=nightly)
        loop.carry()
        loop.live()
    world.build(loop.yesterday)
    arms = {
        (row["event"], row["arm"]): row
        for row in world.rows("dose_response")
        if (row["channel"], row["engagement"]) == ("all", "all")
    }
    curve = [r for r in world.rows("fatigue_curve") if (r["channel"], r["engagement"]) == ("all", "all")]
    world.close()

    leaves = expected_leaves(shop)
    truth = {arm: leaves[arm] / arms["leave", arm]["user_days"] for arm in ("low", "control", "high")}
    for (event, arm), row in sorted(arms.items()):
        print(event, arm, truth[arm], {name: value for name, value in row.items() if name not in ("as_of", "channel")})
    for row in sorted(curve, key=lambda row: (row["source"], row["event"], row["contacts_7d"])):
        print({name: value for name, value in row.items() if name not in ("as_of", "channel", "engagement")})
    means = [arms["leave", arm]["mean_contacts_7d"] for arm in ("low", "control", "high")]
    assert means == sorted(means)
    assert means[2] - means[0] > 0.4
    for arm in ("low", "high"):
        row, caused = arms["leave", arm], truth[arm] - truth["control"]
        assert row["difference_low"] <= caused <= row["difference_high"]
        # it says too little, by a lot
        assert abs(row["naive_difference"]) < 0.8 * abs(caused)
