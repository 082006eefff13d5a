"""What the simulator knows of its people, beside the segments that the pipeline finds from their traces alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pytest

from orchestration.settings import ROOT
from orchestration.warehouse.families import families
from tests import compiled_sql
from tests.landed import Landed, policy_of, wrong_in

SAMPLE = ROOT / "data" / "sample"
TRUTH = SAMPLE / "_truth"
AS_OF = date.fromisoformat(json.loads((SAMPLE / "_sample.json").read_text(encoding="utf-8"))["as_of"])
FAMILIES = [f"fam_{family.name}" for family in families()]


@dataclass(frozen=True)
class Claim:
    """People of whom something is true, the segments that say so, and the least share of them that must be there.

    The rest is no error of the rules: a person who sleeps may click on a message once, one who bought nothing may
    share a device.
    """

    truth: str
    who: str
    family: str
    segments: tuple[str, ...]
    least: float


CLAIMS = [
    Claim(
        "asleep or gone for more than 30 days, came twice or more",
        "state in ('asleep', 'gone') and since < as_of - 30 and visits > 1",
        "engagement",
        ("dormant",),
        0.9,
    ),
    Claim(
        "asleep or gone for more than 30 days",
        "state in ('asleep', 'gone') and since < as_of - 30",
        "engagement",
        ("dormant", "one_time", "never_seen"),
        0.95,
    ),
    Claim("awake for more than 30 days", "state = 'awake' and since < as_of - 30", "engagement", ("engaged",), 0.9),
    Claim(
        "first seen in the last 14 days",
        "first_seen_on >= as_of - 14 and visits > 0",
        "engagement",
        ("new",),
        0.95,
    ),
    Claim("never comes to the site", "kind in ('silent', 'former', 'shop')", "engagement", ("never_seen",), 0.97),
    Claim("comes once", "kind = 'single' and first_seen_on < as_of - 14", "engagement", ("one_time",), 0.7),
    Claim("never buys", "kind in ('silent', 'single')", "lifecycle", ("prospect",), 0.97),
    Claim("never buys", "kind in ('silent', 'single')", "rfm", ("no_orders",), 0.97),
    Claim(
        "likes a category, and shows interest in one",
        "category_affinity <> 'no_affinity'",
        "category_affinity",
        ("favourite_category",),
        0.85,
    ),
    Claim("refused messages in the last 90 days", "has_refused", "pressure_status", ("fatigued",), 0.95),
    Claim(
        "lost the last channel to contacts", "lost_on is not null", "reachability", ("in_app_only", "unreachable"), 0.9
    ),
    Claim("still has a channel", "lost_on is null", "reachability", ("multi_channel",), 0.8),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[compiled_sql.World]:
    """The sample as of its last day, with the truth beside it as the view `truth`."""
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled")).only(
        [*FAMILIES, "user_360", "contact_plan"]
    )
    built = compiled_sql.World(compiled)
    built.load(SAMPLE)
    built.build(AS_OF)
    built.con.execute(f"""
        create temp view truth as
        select
            people.* exclude (user_id), states.state, states."from" as since, users.*,
            refusals.user_id is not null as has_refused
        from build.marts.user_360 as users
        inner join '{TRUTH}/people.parquet' as people using (user_id)
        left join (select * from '{TRUTH}/states.parquet' where "to" is null) as states using (user_id)
        left join (
            select distinct user_id from '{TRUTH}/contacts/*.parquet'
            where outcome in ('unsubscribes', 'complains') and contact_date > date '{AS_OF}' - 90
        ) as refusals using (user_id)
    """)
    yield built
    built.close()


def _agreement(world: compiled_sql.World, claim: Claim) -> tuple[int, int]:
    """Return how many people the claim is about, and how many of them are in a segment that agrees."""
    told = claim.segments == ("favourite_category",)
    right = ", ".join(claim.segments if told else [f"'{segment}'" for segment in claim.segments])
    people, agreeing = world.con.execute(
        f"select count(*), count(case when {claim.family} in ({right}) then 1 end) from truth where {claim.who}"
    ).fetchall()[0]
    return int(people), int(agreeing)


def test_segments_agree_with_what_the_simulator_knows(
    world: compiled_sql.World, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, wrong = [], []
    for claim in CLAIMS:
        people, agreeing = _agreement(world, claim)
        share = agreeing / people
        what = f"{claim.family}: {', '.join(claim.segments)}"
        lines.append(f"{claim.truth:<58} {what:<48} {people:>6} {share:>7.1%} {claim.least:>6.0%}")
        if share < claim.least:
            wrong.append(lines[-1])
    with capsys.disabled():
        print(f"\n\n{'truth of the simulator':<58} {'segment that agrees':<48} {'people':>6} {'agree':>7} {'least':>6}")
        print("\n".join(lines))
    assert not wrong


def test_every_known_user_is_in_one_segment_of_every_family(world: compiled_sql.World) -> None:
    users = {row["user_id"] for row in world.rows("int_known_users")}
    for family in FAMILIES:
        rows = world.rows(family)
        assert len(rows) == len(users), family
        assert {row["user_id"] for row in rows} == users, family
        assert all(row["segment"] for row in rows), family


def test_the_plan_contacts_nobody_whom_it_may_not_nor_more_often_than_caps_allow(world: compiled_sql.World) -> None:
    landed = Landed()
    landed.take(world.con)
    plan = world.rows("contact_plan")
    segments = {row["user_id"]: row["policy_segment"] for row in world.rows("int_user_policy_segment")}
    assert len(plan) > 500
    assert wrong_in(plan, segments, landed, [], policy_of(world), AS_OF) == []
