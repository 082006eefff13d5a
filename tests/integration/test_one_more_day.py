"""One more day of files on the sample: only what they touch is computed anew, and the tables equal one full build."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestration.settings import ROOT
from tests import compiled_sql

SAMPLE = ROOT / "data" / "sample"
AS_OF = date.fromisoformat(json.loads((SAMPLE / "_sample.json").read_text(encoding="utf-8"))["as_of"])
DAY = f"{AS_OF:%Y/%m/%d}"
MONTH_AGO = date(AS_OF.year, AS_OF.month - 1, 28)

ROLLUPS = {
    "int_user_activity_daily": "touched_user_activity",
    "int_user_orders_daily": "touched_user_orders",
    "int_message_outcomes": "touched_user_contacts",
    "int_fatigued_before_contacts": "touched_contact_segments",
    "int_segments_before_contacts": "touched_contact_segments",
    "int_identity_links": "touched_identity_links",
}
STAGING = [
    "stg_orders",
    "stg_users",
    "stg_addresses",
    "stg_consents",
    "stg_campaigns",
    "stg_products",
    "stg_subscriptions",
]
MARTS = [
    "rfm", "rfm_cut_points", "rfm_stability", "user_360", "user_segments", "fct_contacts", "contact_pressure",
    "contact_pressure_by_channel", "int_channel_permissions", "int_channel_vetoes",
]  # fmt: skip
#: Numbers of loads differ with the order of files, and say nothing about people.
NOT_COMPARED = {"load_id", "changed_load_id"}


def contents(world: compiled_sql.World, model: str) -> Counter[Any]:
    return Counter(
        tuple(sorted((name, str(value)) for name, value in row.items() if name not in NOT_COMPARED))
        for row in world.rows(model)
    )


def same_tables(one: compiled_sql.World, other: compiled_sql.World, models: list[str]) -> None:
    for model in models:
        assert contents(one, model) == contents(other, model), model


@dataclass(frozen=True)
class Late:
    """What arrives late, beside the last day's own files."""

    device: str
    new_owner: str
    event_date: date
    buyer: str
    order_date: date
    receiver: str
    contact_date: date


def copy_sample(to: Path, is_last_day: bool) -> None:
    """Copy the landing files of the sample's last day, or those of the days before."""
    for path in SAMPLE.rglob("*"):
        if path.is_file() and (DAY in path.as_posix()) == is_last_day:
            target = to / path.relative_to(SAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def write_late_rows(world: compiled_sql.World, landing: Path) -> Late:
    """Write a refund of an old order, a late bounce and a new link, all dated today; return whom they concern."""

    def one(query: str) -> Any:
        row = world.con.execute(query).fetchone()
        assert row is not None, query
        return row

    order_id, buyer, ordered_at, gross = one(
        "select order_id, user_id, ordered_at, gross_amount from raw.orders where status = 'completed' "
        f"and updated_at is null and ordered_at::date between '{MONTH_AGO}'::date - 90 and '{MONTH_AGO}'::date - 60 "
        "and order_id in (select order_id from raw.orders group by order_id having count(*) = 1) "
        "order by order_id limit 1"
    )
    message_id, receiver, sent_at = one(
        "select message_id, user_id, sent_at from raw.messages where message_class = 'marketing' "
        f"and sent_at::date between '{MONTH_AGO}'::date - 5 and '{MONTH_AGO}'::date - 1 "
        "and message_id not in (select message_id from raw.message_events) order by message_id limit 1"
    )
    device, seen = one(
        "select anonymous_id, min(timestamp)::date from raw.events where user_id is null and anonymous_id not in "
        "(select anonymous_id from raw.events where user_id is not null and anonymous_id is not null "
        "union all select anonymous_id from raw.identities) group by 1 order by 1 limit 1"
    )
    (new_owner,) = one("select user_id from raw.users order by user_id limit 1")
    rows = {
        "orders": {
            "order_id": order_id,
            "user_id": buyer,
            "ordered_at": ordered_at.isoformat(),
            "status": "refunded",
            "gross_amount": str(gross),
            "refunded_amount": str(gross),
            "updated_at": f"{AS_OF}T08:00:00Z",
        },
        "message_events": {
            "event_id": "late-bounce",
            "message_id": message_id,
            "event": "bounced",
            "bounce_type": "hard",
            "occurred_at": f"{AS_OF}T09:00:00Z",
        },
        "identities": {"anonymous_id": device, "user_id": new_owner, "linked_at": f"{AS_OF}T10:00:00Z"},
    }
    for dataset, row in rows.items():
        (landing / dataset / "late.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return Late(device, new_owner, MONTH_AGO, buyer, ordered_at.date(), receiver, sent_at.date())


def write_late_event(landing: Path, late: Late) -> None:
    """Write an event that happened a month ago and arrives today."""
    row = {
        "event_id": "late-event",
        "user_id": late.buyer,
        "event": "page",
        "timestamp": f"{late.event_date}T12:00:00Z",
        "received_at": f"{AS_OF}T12:00:00Z",
    }
    (landing / "events" / "late.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled")).only([*ROLLUPS, *STAGING, *MARTS])


@dataclass
class Story:
    """The sample without its last day, built; then with that day and the late rows; and all of it at once."""

    stepwise: compiled_sql.World
    at_once: compiled_sql.World
    late: Late
    before: dict[str, Counter[Any]]
    month_ago_before: dict[str, Counter[Any]]
    month_ago_after: dict[str, Counter[Any]]
    touched: dict[str, set[tuple[Any, ...]]]


_MONTH_AGO_MODELS = ["rfm", "rfm_cut_points", "user_360", "fct_contacts", "contact_pressure"]


@pytest.fixture(scope="module")
def story(compiled: compiled_sql.Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    landing = tmp_path_factory.mktemp("landing")
    copy_sample(landing, is_last_day=False)
    stepwise = compiled_sql.World(compiled)
    stepwise.load(landing)
    stepwise.build(MONTH_AGO)
    month_ago_before = {model: contents(stepwise, model) for model in _MONTH_AGO_MODELS}
    stepwise.build(AS_OF)
    before = {model: contents(stepwise, model) for model in ROLLUPS}
    late = write_late_rows(stepwise, landing)
    stepwise.load(landing)
    stepwise.build(MONTH_AGO)
    touched = {name: {tuple(row.values()) for row in stepwise.rows(name)} for name in ROLLUPS.values()}
    month_ago_after = {model: contents(stepwise, model) for model in _MONTH_AGO_MODELS}
    write_late_event(landing, late)
    copy_sample(landing, is_last_day=True)
    stepwise.load(landing)
    stepwise.build(AS_OF)
    for name in ROLLUPS.values():
        touched[name] |= {tuple(row.values()) for row in stepwise.rows(name)}
    at_once = compiled_sql.World(compiled)
    at_once.load(landing)
    at_once.build(AS_OF)
    yield Story(stepwise, at_once, late, before, month_ago_before, month_ago_after, touched)
    stepwise.close()
    at_once.close()


def test_only_what_the_new_rows_touch_is_computed_anew(story: Story) -> None:
    for rollup, touched in ROLLUPS.items():
        kept = sum((story.before[rollup] & contents(story.stepwise, rollup)).values())
        before = sum(story.before[rollup].values())
        touched_keys = len(story.touched[touched])
        print(f"{rollup}: {touched_keys:,} keys touched; {kept:,} of {before:,} rows of before are still the same")
        assert 0 < touched_keys < before / 10, rollup
        assert kept > before * 0.95, rollup


def test_every_late_row_touches_its_own_old_date(story: Story) -> None:
    touched = story.touched
    late = story.late
    assert (late.buyer, late.event_date) in touched["touched_user_activity"]
    assert (late.buyer, late.order_date) in touched["touched_user_orders"]
    assert (late.receiver, late.contact_date) in touched["touched_user_contacts"]
    device_dates = story.stepwise.con.execute(
        "select distinct timestamp::date from raw.events where anonymous_id = ?", [late.device]
    ).fetchall()
    assert {(late.new_owner, day) for (day,) in device_dates} <= touched["touched_user_activity"]


def test_steps_equal_one_full_build(story: Story) -> None:
    same_tables(story.stepwise, story.at_once, [*STAGING, *ROLLUPS, *MARTS])


def test_what_is_dated_later_changes_no_earlier_date(story: Story) -> None:
    """A refund, a bounce and a link of today leave the tables as of a month ago as they were."""
    for model in _MONTH_AGO_MODELS:
        assert story.month_ago_before[model] == story.month_ago_after[model], model


def test_an_earlier_date_equals_a_full_build_as_of_it(story: Story) -> None:
    """The late event is dated a month ago and counts there, whenever it arrived."""
    for world in (story.stepwise, story.at_once):
        world.build(MONTH_AGO, is_full=world is story.at_once)
    same_tables(story.stepwise, story.at_once, MARTS)
    changed = {
        str(row["user_id"])
        for row in story.stepwise.rows("user_360")
        if row["last_visit_date"] == MONTH_AGO and row["user_id"] == story.late.buyer
    }
    assert changed == {story.late.buyer}
