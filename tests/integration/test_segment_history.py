"""The segment history over 60 built dates of a simulated shop: in order and shuffled, beside 60 separate builds."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data.simulator.parameters import Parameters
from data.simulator.world import write_world
from orchestration.publish.publish import publish
from orchestration.warehouse import build_state, history
from orchestration.warehouse.families import published_families
from tests import compiled_sql

#: Families that move by themselves, by what people do, and by new cut points.
FAMILIES = ["buyer_recency", "engagement", "lead_temperature", "lifecycle", "loyalty_basket", "rfm", "value_tier"]
VIEWS = ["segment_history", "segment_migration", "segment_sizes"]
SHOP = Parameters(users=250, days=120, seed=5)
#: 60 of the last 76 days: some nights were left out.
DATES = sorted(random.Random(1).sample([SHOP.last_day - timedelta(days=n) for n in range(76)], 60))
#: What the history is recorded from.
BUILT = ["marts.user_360", "marts.build_info", "intermediate.int_rfm_cut_points", "intermediate.int_recut_segments"]
#: What one build gives: the segment of each user in each family.
States = dict[tuple[str, str], str]


def build(world: compiled_sql.World, as_of: date, only: list[str] | None = None) -> None:
    """Build as of a date; user_360 is made of the families alone, which takes a third of the time."""
    world.build(as_of, only=only)
    columns = ", ".join(f"fam_{family}.segment as {family}" for family in FAMILIES)
    joins = " ".join(f"join build.families.fam_{family} using (user_id)" for family in FAMILIES)
    world.con.execute(
        f"create or replace table build.marts.user_360 as "
        f"select user_id, {columns} from build.intermediate.int_known_users {joins}"
    )


def states(con: duckdb.DuckDBPyConnection, database: str) -> States:
    rows = con.execute(f"select user_id, {', '.join(FAMILIES)} from {database}.marts.user_360").fetchall()
    return {(row[0], family): segment for row in rows for family, segment in zip(FAMILIES, row[1:], strict=True)}


@dataclass
class Story:
    """One loaded world, built as of 60 dates, and the history of two orders."""

    landing: Path
    compiled: compiled_sql.Compiled
    views: dict[str, str]
    con: duckdb.DuckDBPyConnection
    builds: dict[date, States]

    def rows(self, view: str, database: str = "build") -> Counter[tuple[Any, ...]]:
        return Counter(self.con.execute(self.views[view].replace('"build"', f'"{database}"')).fetchall())

    def tables(self, database: str) -> dict[str, Counter[tuple[Any, ...]]]:
        names = ("segment_changes", "recut_segments", "segment_sizes", "segment_moves", "built_dates")
        return {name: Counter(self.con.execute(f"from {database}.history.{name}").fetchall()) for name in names}


def name_of(day: date) -> str:
    return f"build_of_{day:%Y%m%d}"


def record(con: duckdb.DuckDBPyConnection, target: str, day: date) -> None:
    con.execute(f"use {target}")
    history.record(con, build_state.built_date(con, name_of(day)), FAMILIES, name_of(day))
    con.execute("use working")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    landing = tmp_path_factory.mktemp("shop")
    write_world(SHOP, landing, "parquet", has_truth=False)
    project = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    views = {model.name: model.full_sql for model in project.models if model.name in VIEWS}
    compiled = project.only(
        [*(f"fam_{family}" for family in FAMILIES), "int_recut_segments", "int_rfm_cut_points", "build_info"]
    )
    world = compiled_sql.World(compiled)
    world.load(landing)
    con = world.con
    # the rollups are there after the first
    of_a_date = [model.name for model in compiled.models if model.materialized == "table"]
    told = Story(landing, compiled, views, con, {})
    for day in DATES:
        build(world, day, of_a_date if told.builds else None)
        name = name_of(day)
        con.execute(f"attach ':memory:' as {name}; create schema {name}.marts; create schema {name}.intermediate")
        for table in BUILT:
            con.execute(f"create table {name}.{table} as from build.{table}")
        told.builds[day] = states(con, name)
        record(con, "build", day)
    con.execute("attach ':memory:' as shuffled; use shuffled")
    build_state.create_history_schema(con, published_families())
    for day in random.Random(2).sample(DATES, len(DATES)):
        record(con, "shuffled", day)
    yield told
    world.close()


def test_any_order_gives_the_same(story: Story) -> None:
    assert story.tables("shuffled") == story.tables("build")
    for view in VIEWS:
        assert story.rows(view, "shuffled") == story.rows(view), view
        assert story.rows(view)


def test_on_every_date_it_says_what_the_build_of_that_date_says(story: Story) -> None:
    spans = list(story.rows("segment_history").elements())
    for day, expected in story.builds.items():
        found = [
            ((user, family), segment)
            for user, family, segment, since, until in spans
            if since <= day and (until is None or day < until)
        ]
        # in exactly one segment: no gap, no overlap
        assert len(found) == len(expected)
        assert dict(found) == expected, day


def test_a_segment_ends_where_another_one_begins(story: Story) -> None:
    by_user = defaultdict(list)
    for user, family, segment, since, until in story.rows("segment_history").elements():
        by_user[user, family].append((since, until, segment))
    changes = 0
    for spans in by_user.values():
        spans.sort()
        for (_, until, segment), (since, _, following) in zip(spans, spans[1:], strict=False):
            assert until == since and segment != following
            changes += 1
        assert spans[-1][1] is None
        assert {day for since, until, _ in spans for day in (since, until) if day} <= set(DATES)
    assert changes > 1000


def test_a_build_by_itself_gives_what_is_in_the_history(story: Story) -> None:
    day = DATES[31]
    alone = compiled_sql.World(story.compiled)
    alone.load(story.landing)
    build(alone, day)
    assert states(alone.con, "build") == story.builds[day]
    alone.close()


def test_sizes_are_those_of_the_builds(story: Story) -> None:
    sizes = Counter(
        (day, family, segment) for day, build in story.builds.items() for (_, family), segment in build.items()
    )
    assert story.rows("segment_sizes") == Counter((*key, users) for key, users in sizes.items())


def moves(pairs: list[tuple[date, date, date]], builds: dict[date, States]) -> Counter[tuple[Any, ...]]:
    """(start, before, after) -> users by (start, family, from, to)."""
    found: Counter[tuple[Any, ...]] = Counter()
    for start, before, after in pairs:
        for user, family in builds[before].keys() | builds[after].keys():
            source, target = builds[before].get((user, family)), builds[after].get((user, family))
            if source != target:
                found[start, family, source, target] += 1
    return found


def test_migration_is_what_differs_between_builds(story: Story) -> None:
    months = sorted({day.replace(day=1) for day in DATES})
    last = {month: max(day for day in DATES if day.replace(day=1) == month) for month in months}
    expected = {
        "day": moves([(day, before, day) for before, day in zip(DATES, DATES[1:], strict=False)], story.builds),
        "month": moves([(m, last[b], last[m]) for b, m in zip(months, months[1:], strict=False)], story.builds),
    }
    found: dict[str, Counter[tuple[Any, ...]]] = {"day": Counter(), "month": Counter()}
    for period, start, family, source, target, users, _ in story.rows("segment_migration").elements():
        found[period][start, family, source, target] += users
    assert found == expected


def test_moves_by_new_cut_points_alone_are_marked(story: Story) -> None:
    """The marks are few, on the first built date of a month, and of families that follow the cut points."""
    marked = [row for row in story.rows("segment_migration").elements() if row[6]]
    first_of_month = {
        min(day for day in DATES if day.replace(day=1) == month) for month in {d.replace(day=1) for d in DATES}
    }
    by_day = [row for row in marked if row[0] == "day"]
    assert {row[1] for row in by_day} <= first_of_month - {DATES[0]}
    assert {row[2] for row in by_day} <= {"loyalty_basket", "rfm", "value_tier"}
    assert sum(row[5] for row in by_day) > 0
    # under the cut points of the date before, nothing else had moved them
    changes = story.con.execute(
        "select user_id, as_of, unnest(string_split(recut_families, '|')) from build.history.segment_changes "
        "where recut_families is not null"
    ).fetchall()
    assert len(changes) == sum(row[5] for row in by_day)
    for user, day, family in changes:
        before = max(other for other in DATES if other < day)
        ((recut,),) = story.con.execute(
            f"select {family} from {name_of(day)}.intermediate.int_recut_segments where user_id = ?", [user]
        ).fetchall()
        assert recut == story.builds[before][user, family] != story.builds[day][user, family]


def test_recording_a_build_again_changes_nothing(story: Story) -> None:
    before = story.tables("build")
    for day in (DATES[0], DATES[30], DATES[-1]):
        record(story.con, "build", day)
        assert story.tables("build") == before


@pytest.mark.parametrize("mode", ["stop", "hash"])
def test_the_views_work_in_the_published_file(story: Story, tmp_path: Path, mode: str) -> None:
    """They hold names of three parts; the build's own history keeps its ids."""
    expected = {view: story.rows(view) for view in VIEWS}
    with duckdb.connect(str(tmp_path / "build.duckdb")) as con:
        build_state.create_history_schema(con, published_families())
        con.execute("create schema marts")
    con = story.con
    con.execute(f"attach '{tmp_path / 'build.duckdb'}' as target")
    for table in ("marts.user_360", "marts.build_info"):
        con.execute(f"create table target.{table} as from build.{table}")
    for table in story.tables("build"):
        con.execute(f"insert into target.history.{table} by name from build.history.{table}")
    con.execute("detach target")
    with duckdb.connect(str(tmp_path / "build.duckdb")) as con:
        for view, sql in story.views.items():
            con.execute(f"create view build.marts.{view} as {sql}")
        build_state.store_fingerprint(con, "f")
    published = tmp_path / "published.duckdb"
    publish(tmp_path / "build.duckdb", published, DATES[-1], 0.001, mode, "a key", {})
    with duckdb.connect(str(published), read_only=True) as con:
        found = {view: Counter(con.execute(f"from marts.{view}").fetchall()) for view in VIEWS}
        ids = {user for (user,) in con.execute("select user_id from history.segment_changes").fetchall()}
        ids |= {user for (user,) in con.execute("select user_id from history.recut_segments").fetchall()}
    if mode == "hash":
        assert not ids & {user for user, _ in story.builds[DATES[-1]]}
        assert len(found["segment_history"]) == len(expected["segment_history"])
        for view in VIEWS[1:]:
            assert found[view] == expected[view]
    else:
        assert found == expected
    with duckdb.connect(str(tmp_path / "build.duckdb"), read_only=True) as con:
        assert Counter(con.execute("from marts.segment_history").fetchall()) == expected["segment_history"]
