"""The segment history beside a naive one: every built date's states in a list, compared date by date."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.landing.schema import create_raw_schema
from orchestration.settings import Settings
from orchestration.warehouse import build_state, history
from orchestration.warehouse.build import begin, build_of, finish, is_built
from orchestration.warehouse.build_state import RECUT_FAMILIES, BuiltDate, create_history_schema
from orchestration.warehouse.families import published_families
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.prepare import create_control_schema

FAMILIES = ["engagement", "loyalty_basket", "rfm", "value_tier"]
SEGMENTS = ["a", "b", "c"]
USERS = [f"u{n}" for n in range(12)]
#: Eight dates over four months, with a month without any between.
DATES = [date(2024, month, day) for month, day in [(1, 30), (1, 31), (2, 1), (2, 2), (2, 29), (4, 1), (4, 2), (4, 30)]]

Wide = dict[str, str | None]


@dataclass(frozen=True)
class Content:
    """What a build of a date gives: a wide row a user, the cut dates, and segments under the previous cut points."""

    states: Mapping[str, Mapping[str, str]]
    families: Sequence[str] = tuple(FAMILIES)
    cut_date: date | None = None
    previous_cut_date: date | None = None
    recut: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of(self, user: str, families: Iterable[str]) -> Wide:
        state = self.states.get(user, {})
        return {family: state.get(family) if family in self.families else None for family in families}


Contents = Mapping[date, Content]


# the naive history


def months_before(day: date) -> date:
    """The last day of the month before."""
    return day.replace(day=1) - timedelta(days=1)


def marks(contents: Contents, earlier: date, day: date, user: str, families: Iterable[str]) -> set[str]:
    """The families of a user that changed between two built dates, and would not have under the old cut points."""
    then, now = contents[earlier], contents[day]
    if then.cut_date is None or then.cut_date in (now.cut_date, None) or then.cut_date != now.previous_cut_date:
        return set()
    before, after = then.of(user, families), now.of(user, families)
    recut = now.recut.get(user, {})
    return {
        family
        for family in RECUT_FAMILIES
        if family in before and before[family] != after[family] and recut.get(family, after[family]) == before[family]
    }


@dataclass
class Naive:
    """All that the history should hold, for a list of dates with their content."""

    changes: set[tuple[Any, ...]]
    history: set[tuple[Any, ...]]
    sizes: set[tuple[Any, ...]]
    moves: set[tuple[Any, ...]]
    recut: set[tuple[Any, ...]]

    @classmethod
    def of(cls, contents: Contents) -> Naive:
        families = sorted({family for content in contents.values() for family in content.families})
        dates = sorted(contents)
        users = sorted({user for content in contents.values() for user in content.states})
        nobody: Wide = dict.fromkeys(families)

        def state(user: str, day: date | None) -> Wide:
            return contents[day].of(user, families) if day else nobody

        def before(day: date) -> date | None:
            return max((other for other in dates if other < day), default=None)

        changes, spans, sizes = set(), set(), Counter[tuple[Any, ...]]()
        moves: Counter[tuple[Any, ...]] = Counter()
        for user in users:
            changed = [day for day in dates if state(user, day) != state(user, before(day))]
            for day, until in zip(changed, [*changed[1:], history.STILL], strict=True):
                earlier = before(day)
                names = "|".join(sorted(marks(contents, earlier, day, user, families))) if earlier else ""
                changes.add((user, day, until, names or None, *(state(user, day)[family] for family in families)))
            for family in families:
                steps = [(day, state(user, day)[family]) for day in dates]
                firsts = [step for n, step in enumerate(steps) if n == 0 or steps[n - 1][1] != step[1]]
                for (day, segment), (until, _) in zip(firsts, [*firsts[1:], (None, None)], strict=True):
                    if segment is not None:
                        spans.add((user, family, segment, day, until))
                for day, segment in steps:
                    if family in contents[day].families and segment is not None:
                        sizes[(day, family, segment)] += 1
                    earlier = before(day)
                    if earlier and state(user, earlier)[family] != segment:
                        is_marked = family in marks(contents, earlier, day, user, families)
                        moves[("day", day, family, state(user, earlier)[family], segment, is_marked)] += 1
                for month in {day.replace(day=1) for day in dates}:
                    within = [day for day in dates if day.replace(day=1) == month]
                    start = before(within[0])
                    if start is None or state(user, start)[family] == state(user, within[-1])[family]:
                        continue
                    pairs = list(zip([start, *within], within, strict=False))
                    is_marked = all(
                        family in marks(contents, one, other, user, families)
                        for one, other in pairs
                        if state(user, one)[family] != state(user, other)[family]
                    )
                    move = (state(user, start)[family], state(user, within[-1])[family])
                    moves[("month", month, family, *move, is_marked)] += 1
        recut = {
            (day, user, *(row[family] for family in RECUT_FAMILIES))
            for day, content in contents.items()
            if (earlier := before(day)) is None or contents[earlier].cut_date != content.cut_date
            for user, row in content.recut.items()
        }
        return cls(
            changes,
            spans,
            {(*key, users) for key, users in sizes.items()},
            {(*key[:5], users, key[5]) for key, users in moves.items()},
            recut,
        )


# the history


class File:
    """A file that builds are recorded in, and what they are recorded from."""

    def __init__(self) -> None:
        self.con = duckdb.connect()
        self.con.execute("attach ':memory:' as build; attach ':memory:' as backfill; use build")
        for database in ("build", "backfill"):
            self.con.execute(f"create schema {database}.marts; create schema {database}.intermediate")
        self.con.execute("set threads = 1")
        create_history_schema(self.con)

    def put(self, database: str, content: Content) -> None:
        """Write the tables that dbt leaves."""
        con = self.con
        columns = ", ".join(f"{family} varchar" for family in content.families)
        con.execute(f"create or replace table {database}.marts.user_360(user_id varchar, visits integer, {columns})")
        rows = [[user, 1, *(row[f] for f in content.families)] for user, row in content.states.items()]
        insert(con, f"{database}.marts.user_360", rows)
        con.execute(
            f"create or replace table {database}.intermediate.int_rfm_cut_points"
            "(cut_set varchar, measure varchar, cut integer, value double, computed_as_of date)"
        )
        cuts = [("current", content.cut_date), ("previous", content.previous_cut_date)]
        rows = [[name, "recency", 1, 3.0, day] for name, day in cuts if day is not None]
        insert(con, f"{database}.intermediate.int_rfm_cut_points", rows)
        con.execute(
            f"create or replace table {database}.intermediate.int_recut_segments"
            "(user_id varchar, rfm varchar, value_tier varchar, loyalty_basket varchar)"
        )
        rows = [[user, row["rfm"], row["value_tier"], row["loyalty_basket"]] for user, row in content.recut.items()]
        insert(con, f"{database}.intermediate.int_recut_segments", rows)

    def record(self, day: date, content: Content, is_final: bool = True, database: str | None = None) -> None:
        """Record a build; an older date comes from a database of its own, as a backfill does."""
        is_older = any(other > day for other in build_state.final_dates(self.con))
        database = database or ("backfill" if is_older else "build")
        self.put(database, content)
        history.record(self.con, BuiltDate(day, is_final, datetime(2024, 5, 1)), content.families, database)

    def rows(self, query: str) -> set[tuple[Any, ...]]:
        rows = self.con.execute(query).fetchall()
        assert len(rows) == len(set(rows)), query
        return set(rows)

    def all(self) -> dict[str, set[tuple[Any, ...]]]:
        families = build_state.history_families(self.con)
        return {
            "changes": self.rows(
                f"select user_id, as_of, valid_to, recut_families, {', '.join(families)} from history.segment_changes"
            ),
            "sizes": self.rows("select as_of, family, segment, users from history.segment_sizes"),
            "moves": self.rows(
                "select period, period_start, family, from_segment, to_segment, users, is_only_cut_points "
                "from history.segment_moves"
            ),
            "recut": self.rows(f"select as_of, user_id, {', '.join(RECUT_FAMILIES)} from history.recut_segments"),
            "dates": self.rows("select as_of, is_final, cut_date, has_history from history.built_dates"),
        }


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    if rows:
        values = ", ".join(f"({', '.join('?' for _ in row)})" for row in rows)
        con.execute(f"insert into {table} values {values}", [value for row in rows for value in row])


def same(file: File, contents: Contents) -> None:
    """The history is the naive one of the dates that are in it."""
    expected = Naive.of(contents)
    found = file.all()
    for table in ("changes", "sizes", "moves", "recut"):
        assert found[table] == getattr(expected, table), table
    assert found["dates"] == {(day, True, content.cut_date, True) for day, content in contents.items()}


# random builds

CUT_POLICIES: dict[str, Callable[[date], tuple[date | None, date | None]]] = {
    "monthly": lambda day: (months_before(day), months_before(months_before(day))),
    "daily": lambda day: (day, day - timedelta(days=1)),
    # as of the date itself in the first month, for want of buyers
    "falls back": lambda day: (
        (day, day - timedelta(days=1)) if day < date(2024, 2, 1) else (months_before(day), day - timedelta(days=1))
    ),
    "fixed": lambda day: (None, None),
}


def random_content(dice: random.Random, day: date, policy: str, families: Sequence[str], before: Content) -> Content:
    """A build whose users are mostly as in another; some came, some went, some moved by the cut points alone."""
    states: dict[str, dict[str, str]] = {}
    for user in USERS:
        known = before.states.get(user)
        if dice.random() < 0.15:
            known = None if known else {family: dice.choice(SEGMENTS) for family in FAMILIES}
        if known:
            states[user] = {f: dice.choice(SEGMENTS) if dice.random() < 0.2 else known[f] for f in FAMILIES}
    cut_date, previous = CUT_POLICIES[policy](day)
    recut = {
        user: {f: before.states.get(user, row)[f] if dice.random() < 0.6 else row[f] for f in RECUT_FAMILIES}
        for user, row in states.items()
        if previous is not None and dice.random() < 0.9
    }
    return Content(states, tuple(families), cut_date, previous, recut)


def random_story(seed: int) -> tuple[list[tuple[date, Content]], Contents]:
    """Builds in any order, some dates again with other content; and the content that each date has in the end."""
    dice = random.Random(seed)
    policy = dice.choice(list(CUT_POLICIES))
    published = {day: FAMILIES if dice.random() < 0.8 else dice.sample(FAMILIES, 3) for day in DATES}
    last: dict[date, Content] = {}
    content = Content({})
    for day in DATES:
        content = last[day] = random_content(dice, day, policy, published[day], content)
    builds = [(day, last[day]) for day in DATES]
    for day in dice.sample(DATES, 3):
        builds.insert(0, (day, random_content(dice, day, policy, published[day], dice.choice(list(last.values())))))
    # a date's last build is the one that counts
    order = dice.sample(range(len(builds)), len(builds))
    shuffled = [builds[n] for n in order]
    return shuffled, dict(shuffled)


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_builds_gives_the_naive_history(seed: int) -> None:
    builds, last = random_story(seed)
    file = File()
    for n, (day, content) in enumerate(builds):
        file.record(day, content)
        if n % 3 == seed % 3:
            same(file, dict(builds[: n + 1]))
    same(file, last)
    in_order = File()
    for day in sorted(last):
        in_order.record(day, last[day])
    assert in_order.all() == file.all()
    # the same build again changes nothing
    day, content = random.Random(seed).choice(sorted(last.items(), key=lambda item: item[0]))
    file.record(day, content)
    assert in_order.all() == file.all()


# single cases

JAN, FEB, MAR = date(2024, 1, 31), date(2024, 2, 1), date(2024, 3, 1)


def of_rfm(rfm: str, **more: Any) -> Content:
    """A build of one user in a segment of rfm."""
    return Content({"u1": {"rfm": rfm}}, ("rfm",), **more)


def test_the_first_built_date_is_no_migration() -> None:
    file = File()
    file.record(FEB, of_rfm("champions"))
    assert file.all()["changes"] == {("u1", FEB, history.STILL, None, "champions")}
    assert file.all()["sizes"] == {(FEB, "rfm", "champions", 1)}
    assert file.all()["moves"] == set()
    # a date before it makes one of it
    file.record(JAN, Content({}, ("rfm",)))
    assert file.all()["moves"] == {
        ("day", FEB, "rfm", None, "champions", 1, False),
        ("month", FEB, "rfm", None, "champions", 1, False),
    }


def test_a_month_is_marked_only_if_each_of_its_changes_is() -> None:
    recut = {"u1": {"rfm": "champions", "value_tier": "", "loyalty_basket": ""}}
    january = Content({"u1": {"rfm": "champions"}}, ("rfm",), date(2023, 12, 31), date(2023, 11, 30))
    february = Content({"u1": {"rfm": "loyal"}}, ("rfm",), JAN, date(2023, 12, 31), recut)
    file = File()
    file.record(JAN, january)
    file.record(FEB, february)
    move = ("rfm", "champions", "loyal", 1, True)
    assert file.all()["moves"] == {("day", FEB, *move), ("month", FEB, *move)}
    # another change in the same month, that people made themselves
    file.record(date(2024, 2, 9), Content({"u1": {"rfm": "lost"}}, ("rfm",), JAN, date(2023, 12, 31), recut))
    assert {row for row in file.all()["moves"] if row[0] == "month"} == {
        ("month", FEB, "rfm", "champions", "lost", 1, False)
    }


def test_marks_follow_the_builds_on_both_sides() -> None:
    """Also where the segments themselves stay as they were."""
    recut = {"u1": {"rfm": "champions", "value_tier": "", "loyalty_basket": ""}}
    december, january = date(2023, 12, 31), date(2024, 1, 31)
    last_month = Content({"u1": {"rfm": "champions"}}, ("rfm",), december, date(2023, 11, 30))
    this_month = Content({"u1": {"rfm": "loyal"}}, ("rfm",), january, december, recut)

    def marked(file: File) -> set[tuple[Any, ...]]:
        return {(row[1], row[3]) for row in file.all()["changes"] if row[1] != JAN}

    file = File()
    file.record(JAN, last_month)
    file.record(date(2024, 2, 9), this_month)
    assert marked(file) == {(date(2024, 2, 9), "rfm")}
    # a date between that has the new cut points already, and still the segment of before: something else moved the user
    file.record(FEB, replace(last_month, cut_date=january, previous_cut_date=december))
    assert marked(file) == {(date(2024, 2, 9), None)}
    # with the segment of after, the cut points did it, on that date
    file.record(FEB, this_month)
    assert marked(file) == {(FEB, "rfm")}
    # the same segments by other cut points: not they alone
    file.record(FEB, replace(this_month, recut={}))
    assert marked(file) == {(FEB, None)}


@pytest.mark.parametrize("database", ["build", "backfill"])
def test_a_build_that_is_not_final_writes_no_history(database: str) -> None:
    file = File()
    file.record(JAN, of_rfm("champions"))
    before = file.all()
    for _ in range(2):
        file.record(FEB, of_rfm("loyal"), is_final=False, database=database)
    after = file.all()
    assert after.pop("dates") == before.pop("dates") | {(FEB, False, None, None)}
    assert after == before
    # nor is it the date before, or after, one that is final
    file.record(MAR, of_rfm("lost"))
    assert {row for row in file.all()["moves"] if row[0] == "day"} == {
        ("day", MAR, "rfm", "champions", "lost", 1, False)
    }
    file.record(FEB, of_rfm("loyal"))
    assert len(file.all()["changes"]) == 3


def test_a_final_build_stays_final_when_the_clock_goes_back() -> None:
    file = File()
    file.record(JAN, of_rfm("champions"))
    before = file.all()
    file.record(JAN, of_rfm("lost"), is_final=False)
    assert file.all() == before


def test_dates_from_before_there_was_a_history_are_not_in_it() -> None:
    file = File()
    file.con.execute("create or replace table history.built_dates(as_of date, is_final boolean, built_at timestamp)")
    file.con.execute("insert into history.built_dates values (?, true, null)", [JAN])
    file.record(FEB, of_rfm("champions"))
    assert file.all()["moves"] == set()
    assert file.all()["dates"] == {(JAN, True, None, None), (FEB, True, None, True)}
    assert build_state.final_dates(file.con) == {JAN, FEB}


def test_an_erased_user_leaves_the_history_and_begins_anew(settings: Settings) -> None:
    whole_build(older(settings, JAN), "champions")
    with open_duckdb(settings.working_file) as con:
        con.execute("insert into raw.forgetting values ('user', 'u@example.org', ?), ('user', 'nobody', ?)", [FEB, FEB])
    whole_build(settings, "lost")
    with open_duckdb(settings.build_file) as con:
        rows = con.execute("select user_id, as_of, valid_to, rfm from history.segment_changes").fetchall()
        sizes = con.execute("select users from history.segment_sizes where as_of = ?", [JAN]).fetchall()
    # whoever is known after it is a new user
    assert rows == [("u@example.org", MAR, history.STILL, "lost")]
    assert sizes and set(sizes) == {(1,)}


def test_a_failure_on_the_way_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    file = File()
    file.record(JAN, of_rfm("champions"))
    before = file.all()

    def fail(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(history._Recording, "_write_months", fail)
    with pytest.raises(RuntimeError, match="no room"):
        file.record(FEB, of_rfm("loyal"))
    assert file.all() == before
    monkeypatch.undo()
    file.record(FEB, of_rfm("loyal"))
    assert len(file.all()["changes"]) == 2


def test_a_family_that_comes_and_goes() -> None:
    file = File()
    file.record(JAN, of_rfm("champions"))
    file.record(FEB, Content({"u1": {"engagement": "new"}}, ("engagement",)))
    assert build_state.history_families(file.con) == ["engagement", "rfm"]
    assert file.all()["changes"] == {
        ("u1", JAN, FEB, None, None, "champions"),
        ("u1", FEB, history.STILL, None, "new", None),
    }
    assert {row for row in file.all()["moves"] if row[0] == "day"} == {
        ("day", FEB, "engagement", None, "new", 1, False),
        ("day", FEB, "rfm", "champions", None, 1, False),
    }


# through the files of builds


def whole_build(settings: Settings, rfm: str) -> None:
    """What a run does, dbt apart."""
    build = build_of(settings)
    begin(settings, build, datetime(2024, 7, 1))
    families = published_families()
    with open_duckdb(build.dbt_file) as con:
        con.execute("create schema if not exists marts")
        con.execute(
            "create or replace table marts.build_info as select ?::date as as_of, true as is_final, "
            "timestamp '2024-07-01' as built_at",
            [settings.as_of],
        )
        columns = ", ".join(f"'{rfm}' as {family}" for family in families)
        con.execute(f"create or replace table marts.user_360 as select 'u@example.org' as user_id, {columns}")
    finish(settings, build)


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built here by hand has no models to measure."""
    monkeypatch.setattr("orchestration.warehouse.build.measure", lambda con, policy: None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "landing", tmp_path / "data", MAR, date(2024, 7, 1), hash_key="a key")
    settings.__dict__["policy"] = {**settings.policy, "user_id_is_address": "hash"}
    with open_duckdb(settings.working_file) as con:
        create_raw_schema(con)
        create_control_schema(con)
    return settings


def older(settings: Settings, as_of: date) -> Settings:
    found = replace(settings, as_of=as_of)
    found.__dict__["policy"] = settings.policy
    return found


def test_a_backfill_is_recorded_with_the_ids_as_they_are(settings: Settings) -> None:
    whole_build(settings, "lost")
    whole_build(older(settings, JAN), "champions")
    with open_duckdb(settings.build_file) as con:
        rows = con.execute(
            "select user_id, as_of, valid_to, rfm from history.segment_changes order by as_of"
        ).fetchall()
    assert rows == [("u@example.org", JAN, MAR, "champions"), ("u@example.org", MAR, history.STILL, "lost")]
    with open_duckdb(build_of(older(settings, JAN)).file, read_only=True) as con:
        assert "example" not in str(con.execute("from marts.user_360").fetchall())
        # a file of one date has no history
        tables = con.execute("select table_name from duckdb_tables() where schema_name = 'history'").fetchall()
        assert sorted(tables) == [("build_state",), ("built_dates",)]


def test_a_backfill_that_is_not_in_the_history_is_not_built(settings: Settings) -> None:
    whole_build(settings, "lost")
    asked = older(settings, JAN)
    whole_build(asked, "champions")
    assert is_built(asked, build_of(asked))
    # somebody moved the warehouse's file away, and the date after it was built again
    settings.build_file.unlink()
    whole_build(settings, "lost")
    assert build_of(asked).is_backfill
    assert not is_built(asked, build_of(asked))


def test_a_backfill_with_addresses_leaves_no_trace_of_itself(settings: Settings) -> None:
    whole_build(settings, "lost")
    asked = older(settings, JAN)
    asked.__dict__["policy"] = {**settings.policy, "user_id_is_address": "stop"}
    with pytest.raises(BarometerError, match="look like an e-mail address"):
        whole_build(asked, "champions")
    with open_duckdb(settings.build_file) as con:
        assert build_state.final_dates(con) == {MAR}
