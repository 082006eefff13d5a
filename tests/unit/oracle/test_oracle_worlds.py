"""The drawn worlds: in the contract, written without loss, and looked at from both sides of the rules."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing.contract import DATASETS
from tests.properties import invariants, oracle
from tests.properties.oracle.eligibility import REASONS
from tests.properties.oracle.rfm import RFM_MAP
from tests.properties.oracle.versions import canonical_row
from tests.properties.setups import AUDIENCES, CHANNELS
from tests.properties.worlds import (
    POLICY_SEGMENTS,
    Case,
    as_json,
    batches,
    carried,
    cases,
    make_case,
    whole,
    write_batch,
    write_world,
)

quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def as_read(dataset, line):
    """A written row, typed again."""
    row = json.loads(line)
    for column in DATASETS[dataset].columns:
        if column.type == "timestamp" and row.get(column.name) is not None:
            moment = datetime.fromisoformat(row[column.name])
            row[column.name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if column.type == "date" and row.get(column.name) is not None:
            row[column.name] = date.fromisoformat(row[column.name])
    return canonical_row(dataset, row)


@quick
@given(cases(erasures=True))
def test_every_row_is_in_the_contract(case: Case):
    for name, dataset in DATASETS.items():
        for row in case.world.rows(name):
            assert set(row) <= set(dataset.column_names)
            assert all(row.get(column.name) is not None for column in dataset.columns if column.required)
            assert not dataset.one_of or any(row.get(column) is not None for column in dataset.one_of)


@quick
@given(st.data())
def test_batches_hold_every_row_and_no_other(data):
    world = data.draw(cases()).world
    deliveries = data.draw(batches(world))
    for dataset in DATASETS:
        rows = [canonical_row(dataset, row) for batch in deliveries for row in batch.get(dataset, [])]
        assert set(rows) == {canonical_row(dataset, row) for row in world.rows(dataset)}


@quick
@given(cases())
def test_what_is_written_can_be_read_again(case: Case):
    with TemporaryDirectory() as folder:
        for file in write_world(case.world, Path(folder)):
            dataset = file.parent.name
            lines = file.read_text(encoding="utf-8").splitlines()
            assert [as_read(dataset, line) for line in lines] == [
                canonical_row(dataset, row) for row in case.world.rows(dataset)
            ]


def test_files_are_named_after_dataset_and_batch(tmp_path):
    row = {"product_id": "p", "name": None}
    (file,) = write_batch({"products": [row]}, tmp_path, "first")
    assert file == tmp_path / "products" / "first.jsonl"
    assert (as_json(row, 0), as_json(row, 1)) == ({"product_id": "p"}, row)


@quick
@given(cases(erasures=True))
def test_every_known_user_is_in_one_segment_of_each_family(case: Case):
    users = oracle.users_as_of(case.world, case.as_of)
    families = oracle.families_as_of(case.world, case.as_of)
    assert list(families) == list(oracle.FAMILIES)
    for rows in families.values():
        assert set(rows) == users
        assert all(row["segment"] for row in rows.values())
    assert set(oracle.contact_pressure_as_of(case.world, case.as_of)) == users


@quick
@given(cases())
def test_folding_leaves_few_segments(case: Case):
    world = case.world
    families = oracle.families_as_of(world, case.as_of)
    folded = oracle.folded_families_as_of(world, families)
    assert set(folded) == set(families) - {"income_band", "value"}
    for family, segments in folded.items():
        assert set(segments) == set(families[family])
        assert len(set(segments.values())) <= world.family_max_segments
        assert all(s in (families[family][user]["segment"], "other") for user, s in segments.items())


@quick
@given(st.data())
def test_neither_order_nor_repetition_of_rows_matters(data):
    case = data.draw(cases(audiences=AUDIENCES))
    rows = {name: list(reversed(rows)) * 2 for name, rows in whole(case.world).items()}
    other = oracle.World(**{**vars(case.world), **rows})
    for table in (
        oracle.families_as_of,
        oracle.rfm_as_of,
        oracle.contacts_as_of,
        oracle.contact_pressure_as_of,
        oracle.contact_pressure_by_channel_as_of,
        oracle.channel_eligibility_as_of,
        oracle.audiences_as_of,
        oracle.contact_plan_as_of,
        oracle.contact_suppressions_as_of,
    ):
        assert table(case.world, case.as_of) == table(other, case.as_of)


def test_the_worlds_reach_every_segment():
    seen = {family: set() for family in oracle.FAMILIES}
    policy_segments = set()
    for seed in range(250):
        case = make_case(seed)
        for family, rows in oracle.families_as_of(case.world, case.as_of).items():
            seen[family] |= {row["segment"] for row in rows.values()}
            if family == "pressure_status":
                policy_segments |= {row["policy_segment"] for row in rows.values()}
    for family, text in _SEGMENTS.items():
        assert seen[family] >= set(text.split()), family
    assert seen["rfm"] == {name for row in RFM_MAP.values() for name in row} | {"no_orders"}
    assert policy_segments == set(POLICY_SEGMENTS) - {"*"}


_SEGMENTS = {
    "engagement": "never_seen new one_time dormant engaged",
    "engagement_outlook": "engaged_risky new_promising dormant_promising steady",
    "lifecycle": "prospect churned lapsed lapsing loyal first_time_buyer repeat_buyer",
    "purchase_stage": "most_aware product_aware solution_aware problem_aware unaware",
    "lead_temperature": "hot warm cold",
    "value_tier": "no_orders very_good good average occasional",
    "loyalty_basket": "no_orders frequent_large frequent_small rare_large rare_small",
    "buyer_recency": "week month year older potential",
    "post_purchase": "in_follow_up cycle_due none",
    "category_affinity": "books garden tools no_affinity",
    "abandonment": "checkout cart product search none",
    "subscription": "renewal_risk active ended none",
    "message_engagement": "never_contacted new_subscriber clicker reader passive quiet",
    "reachability": "multi_channel in_app_only email_only push_only unreachable",
    "pressure_status": "fatigued over_cap at_cap near_cap rested healthy",
    "age_band": "under_18 18_24 25_34 35_44 45_54 55_64 65_plus unknown",
}


def planned_world(seed):
    case = make_case(seed, audiences=AUDIENCES)
    return carried(replace(case.world, channels=CHANNELS), case.as_of, random.Random(seed)), case.as_of


def test_the_worlds_reach_every_reason():
    seen = {what: set() for what in ("reason", "service", "audience", "holdout", "carried", "suppression")}
    for seed in range(150):
        world, day = planned_world(seed)
        for row in oracle.channel_eligibility_as_of(world, day).values():
            seen["reason"].add(row["reason"])
            seen["service"].add(row["service_reason"])
        for candidate in oracle.candidates_as_of(world, day):
            seen["audience"].add(candidate.audience)
            seen["holdout"].add(candidate.holdout_kind)
        plan = oracle.contact_plan_as_of(world, day)
        seen["carried"] |= {c.carried_channel is not None for c in oracle.candidates_as_of(world, day) if c.key in plan}
        suppressions = oracle.contact_suppressions_as_of(world, day)
        assert not plan.keys() & suppressions.keys()
        seen["suppression"] |= {row["reason"] for row in suppressions.values()}
        if (
            seen["suppression"] >= _SUPPRESSIONS
            and seen["audience"] == set(AUDIENCES)
            and len(seen["reason"]) == len(REASONS)
        ):
            break
    # an erased user is not known
    assert seen["reason"] == {None, *REASONS} - {"erased"}
    assert seen["service"] == {None, "no_address", "no_consent", "suppressed"}
    assert seen["audience"] == set(oracle.AUDIENCES) == set(AUDIENCES)
    assert seen["holdout"] == {None, "universal", "campaign"}
    assert seen["carried"] == {True, False}
    assert seen["suppression"] >= _SUPPRESSIONS


_FALL_OUTS = "campaign_inactive already_sent just_bought over_audience_limit outranked_channel outranked_total"
_SUPPRESSIONS = set(_FALL_OUTS.split()) | set(REASONS) - {"erased"}


def test_plans_of_the_oracle_keep_what_must_hold():
    for seed in range(40):
        world, day = planned_world(seed)
        segments = {user: row["policy_segment"] for user, row in oracle.contact_pressure_as_of(world, day).items()}
        plan = [
            {"user_id": user, "campaign_id": campaign, "audience": audience, **row}
            for (user, campaign, audience), row in oracle.contact_plan_as_of(world, day).items()
        ]
        assert invariants.broken(plan, segments, world, day) == []
        # every check finds what it looks for
        anybody = [{**row, "user_id": "nobody"} for row in plan if row["holdout_kind"] is None]
        assert len(invariants.broken(anybody, {"nobody": "default"}, world, day)) >= len(anybody)
        held = [{**row, "holdout_kind": None} for row in plan if row["holdout_kind"] is not None]
        assert len(invariants.held_out(held, world, day + timedelta(days=1))) >= len(held)
