"""Thirty days of a shop under the plan, with logs up to three days late: what must hold of every plan, after each day.

The checks read the landing files themselves, in Python that shares nothing with the models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb
import pytest

from data.simulator.parameters import Parameters
from data.simulator.shop import Shop
from orchestration.warehouse.families import families
from tests import compiled_sql
from tests.landed import Landed, Row, policy_of, rows_of, wrong_in
from tests.loop import LateLogs, Loop

DAYS = 20
#: Days of the shop's own calendar before.
BEFORE = 40
LATE = 3
#: The simulator's logs are in time: what is late here is held back by the loop.
SHOP = Parameters(users=140, days=BEFORE + DAYS, seed=11, late_messages=0)
FAMILIES = [f"fam_{family.name}" for family in families()]
#: What a cap, a gap or a rival for the same cap is called.
BY_CAPS = {"min_gap", "channel_cap", "total_cap", "fatigued", "outranked_channel", "outranked_total"}
AGAIN_ON = (0, DAYS - 1)


@dataclass(frozen=True)
class Night:
    """What a night gave: the plan, why others are not in it, and what was found wrong."""

    plan_date: date
    plan: list[Row]
    reasons: Counter[str]
    segments: Mapping[str, str]
    wrong: list[str]
    families: list[str]
    #: The plan when it was made again, after its own rows were stored; and how many rows were then new.
    again: tuple[list[Row], int] | None


@dataclass
class Story:
    """All nights, and what had landed after the last log."""

    landed: Landed
    policy: dict[str, Any]
    nights: list[Night] = field(default_factory=list)
    #: Days from sending to the file that told of it, of messages that the plan sent.
    lateness: Counter[int] = field(default_factory=Counter)


def wrong_families(world: compiled_sql.World, known: set[str]) -> list[str]:
    """Families in which somebody who is known is not, or twice, or somebody whom no row tells of."""
    found = []
    for family in FAMILIES:
        rows = world.rows(family, ["user_id", "segment"])
        if Counter(row["user_id"] for row in rows) != Counter(known) or not all(row["segment"] for row in rows):
            found.append(family)
    return found


def live_a_night(loop: Loop, story: Story, number: int) -> None:
    world = loop.warehouse
    plan_date = loop.build()
    plan = world.rows("contact_plan")
    loop.carry()
    story.landed.read(loop.landing)
    segments = {row["user_id"]: row["policy_segment"] for row in world.rows("int_user_policy_segment")}
    carried = rows_of(duckdb.execute("from read_parquet(?)", [str(loop.planned_contacts / "*" / "*.parquet")]))
    wrong = wrong_in(plan, segments, story.landed, carried, story.policy, loop.yesterday)
    of_families = wrong_families(world, story.landed.known(loop.yesterday))
    reasons = Counter(row["reason"] for row in world.rows("contact_suppressions"))
    again = None
    if number in AGAIN_ON:
        loop.build()
        again = world.rows("contact_plan"), loop.carry()
    story.nights.append(Night(plan_date, plan, reasons, segments, wrong, of_families, again))
    loop.live()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("loop")
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    world = compiled_sql.World(compiled.only([*FAMILIES, "contact_plan", "contact_suppressions"]))
    loop = Loop(Shop(SHOP), world, folder, LateLogs(seed=3, most=LATE))
    loop.begin(BEFORE)
    told = Story(Landed(), policy_of(world))
    for number in range(DAYS):
        live_a_night(loop, told, number)
    loop.let_logs_arrive(LATE)
    told.landed.read(loop.landing)
    first = told.nights[0].plan_date
    for path in loop.landing.glob("messages/20*.parquet"):
        rows = duckdb.execute("select sent_at::date from read_parquet(?) where sent_at >= ?", [str(path), first])
        told.lateness.update((date.fromisoformat(path.stem) - sent).days for (sent,) in rows.fetchall())
    yield told
    world.close()


def sent(plan: list[Row], story: Story) -> list[Row]:
    """The rows of a plan that are contacts: in a list, marketing, on a channel that counts."""
    channels = story.policy["channels"]
    return [
        row
        for row in plan
        if row["holdout_kind"] is None and row["message_class"] == "marketing" and channels[row["channel"]].counts
    ]


def test_no_plan_contacts_whom_it_may_not_or_more_often_than_caps_allow(story: Story) -> None:
    """Address, consent, suppression and holdout; and every fitting cap, with what was sent, carried and planned."""
    assert [(night.plan_date, night.wrong) for night in story.nights if night.wrong] == []


def test_every_known_user_is_in_one_segment_of_every_family_after_every_day(story: Story) -> None:
    assert [(night.plan_date, night.families) for night in story.nights if night.families] == []


def test_plans_are_not_empty_and_caps_bite(story: Story) -> None:
    assert len(story.nights) == DAYS
    assert all(sent(night.plan, story) for night in story.nights)
    assert any(row["message_class"] == "transactional" for night in story.nights for row in night.plan)
    assert any(row["holdout_kind"] == "campaign" for night in story.nights for row in night.plan)
    for first in range(0, DAYS, 7):
        of_the_week = story.nights[first : first + 7]
        assert sum(night.reasons[reason] for night in of_the_week for reason in BY_CAPS) > 0


def test_logs_were_late_by_up_to_three_days(story: Story) -> None:
    assert sorted(story.lateness) == list(range(LATE + 1))
    assert min(story.lateness.values()) > sum(story.lateness.values()) / 10


def test_the_plan_of_a_date_is_the_same_when_its_own_rows_were_carried(story: Story) -> None:
    made_again = [night for night in story.nights if night.again]
    assert len(made_again) == len(AGAIN_ON)
    for night in made_again:
        plan, new = night.again or ([], 0)
        assert sorted(map(str, plan)) == sorted(map(str, night.plan)), night.plan_date
        assert new == 0


def test_just_the_plan_was_sent(story: Story) -> None:
    """The loop is closed: what the logs tell in the end is what the lists carried."""
    of_plans = {row["campaign_id"] for night in story.nights for row in night.plan}
    messages: dict[date, list[tuple[str, str, str]]] = defaultdict(list)
    for row in story.landed.messages():
        if row["message_class"] == "marketing" or row["campaign_id"] in of_plans:
            messages[row["sent_at"].date()].append((row["user_id"], row["campaign_id"], row["channel"]))
    for night in story.nights:
        lists = [row for row in night.plan if row["holdout_kind"] is None]
        planned = sorted((row["user_id"], row["campaign_id"], row["channel"]) for row in lists)
        assert sorted(messages[night.plan_date]) == planned, night.plan_date


def test_what_was_really_sent_stayed_within_the_caps(story: Story) -> None:
    """In hindsight, with all logs: the windows that end with a day on which the plan contacted somebody.

    Messages that bounced are left out: one that bounced softly is no contact until the news that it arrived.
    """
    bounced = {
        row["message_id"]
        for rows in story.landed.rows["message_events"].values()
        for row in rows
        if row["event"] in ("failed", "bounced")
    }
    contacts: dict[str, list[tuple[str, date]]] = defaultdict(list)
    for row in story.landed.messages():
        is_counted = row["message_class"] == "marketing" and story.policy["channels"][row["channel"]].counts
        if is_counted and row["message_id"] not in bounced:
            contacts[row["user_id"]].append((row["channel"], row["sent_at"].date()))
    over, full = [], 0
    for night in story.nights:
        for user in {row["user_id"] for row in sent(night.plan, story)}:
            channels = {row["channel"] for row in sent(night.plan, story) if row["user_id"] == user}
            for cap in story.policy["contact_policy"]:
                if cap.policy_segment not in ("*", night.segments[user]) or cap.channel not in (*channels, "all"):
                    continue
                window = [night.plan_date - timedelta(days=n) for n in range(cap.window_days)]
                number = sum(day in window and cap.channel in ("all", where) for where, day in contacts[user])
                full += number == cap.max_contacts
                if number > cap.max_contacts:
                    over.append((night.plan_date, user, cap, number))
    assert over == []
    assert full > 100
