"""Both targets through the whole pipeline: every mart is equal, row by row, after a full build and three days more."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import ROOT, TARGETS
from tests import compiled_spark
from tests.pipeline import run_pipeline
from tests.properties.worlds import Batch, make_case, whole, write_batch

pytestmark = [*compiled_spark.NEEDS_SPARK, pytest.mark.spark_parity]

DAYS = 4
FIRST_OF_WORLDS = date(2024, 6, 15)
SAMPLE = ROOT / "data" / "sample"
FIRST_OF_SAMPLE = date(2026, 6, 28)
#: Files of the sample that arrive later, as its other files of one date do: corrections and late rows among them.
LATE_FILES = "2026/06/30"
#: Worlds that land on each date.
WORLDS = ((0, 1, 2, 3, 4, 5), (6, 7), (8,), (9, 10))
#: What says when something happened on this machine, or how long it took.
RECORDS = {"build_info", "load_files", "pipeline_runs", "rejected_files", "sync_rows", "sync_runs"}
#: The one event of its month, until a better row of it, of another month, arrives.
LONE = {
    "event_id": "lone",
    "user_id": "lone_user",
    "event": "Product Viewed",
    "timestamp": "2019-03-05T10:00:00Z",
    "product_id": "lone_product",
    "updated_at": "2019-03-05T10:00:00Z",
}
MOVED = LONE | {"timestamp": "2019-07-09T10:00:00Z", "updated_at": "2024-06-16T10:00:00Z"}
MOVED_ON = 2
ROLLUPS = ("int_user_activity_daily", "int_sessions", "int_user_interest_daily")


def rows_of(numbers: tuple[int, ...]) -> Batch:
    """Rows of worlds that share nothing, their ids beginning with their number."""
    rows: Batch = {}
    for number in numbers:
        case = make_case(number, settings=False, time_zone="UTC", as_of=FIRST_OF_WORLDS, prefix=f"w{number}_")
        for dataset, more in whole(case.world).items():
            rows.setdefault(dataset, []).extend(more)
    return rows


def land_worlds(landing: Path, day: int) -> None:
    """Put the random worlds of a day into the landing folder."""
    write_batch(rows_of(WORLDS[day]), landing, f"day_{day}")


def land_sample(landing: Path, day: int) -> None:
    """Put the sample into the landing folder on the first day, but for its last files, which arrive on a later one."""
    if day not in (0, MOVED_ON):
        return
    for path in SAMPLE.rglob("*.*"):
        below = path.relative_to(SAMPLE)
        is_late = LATE_FILES in below.as_posix()
        if not below.parts[0].startswith("_") and is_late == (day == MOVED_ON):
            (landing / below).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, landing / below)


def land_lone(landing: Path, day: int) -> None:
    """Put the one event of a month into the landing folder, and on a later day what moves it to another month."""
    events = {0: LONE, MOVED_ON: MOVED}
    if day in events:
        (landing / "events").mkdir(exist_ok=True)
        (landing / "events" / f"lone_{day}.jsonl").write_text(json.dumps(events[day]) + "\n")


def marts_of(data: Path) -> dict[str, tuple[list[tuple[str, str]], Counter[tuple[object, ...]]]]:
    """The columns with their types, and the rows, of all marts but records of runs."""
    with duckdb.connect(str(data / "warehouse" / "build.duckdb"), read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        names = con.execute(
            "select table_name from information_schema.tables where table_schema = 'marts' order by table_name"
        ).fetchall()
        found = {}
        for (name,) in names:
            if name not in RECORDS:
                columns = [(column, type_) for column, type_, *_ in con.execute(f"describe marts.{name}").fetchall()]
                found[name] = columns, Counter(con.execute(f"select * from marts.{name}").fetchall())
        return found


def dates_of_the_lone_user(data: Path, target: str, rollup: str) -> set[date]:
    """The dates on which a rollup has rows of the user with one event."""
    with duckdb.connect() as con:
        if target == "spark":
            relation = f"read_parquet('{data}/warehouse/spark/tables/intermediate/{rollup}/*/*.parquet')"
        else:
            con.execute(f"attach '{data}/warehouse/working.duckdb' as working (read_only)")
            relation = f"working.intermediate.{rollup}"
        query = f"select distinct activity_date from {relation} where user_id = 'lone_user'"
        return {day for (day,) in con.execute(query).fetchall()}


@pytest.mark.parametrize(
    ("first", "land", "users"),
    [
        pytest.param(FIRST_OF_WORLDS, land_worlds, 7, id="worlds"),
        pytest.param(FIRST_OF_SAMPLE, land_sample, 1_900, id="sample"),
    ],
)
def test_every_mart_is_the_same(tmp_path: Path, first: date, land: Callable[[Path, int], None], users: int) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    for day in range(DAYS):
        land(landing, day)
        land_lone(landing, day)
        for target in TARGETS:
            run_pipeline(landing, tmp_path / target, first + timedelta(days=day), BAROMETER_TARGET=target)
        on_duckdb, on_spark = (marts_of(tmp_path / target) for target in TARGETS)
        assert on_duckdb.keys() == on_spark.keys()
        for name, (columns, rows) in on_duckdb.items():
            assert on_spark[name][0] == columns, (day, name)
            assert on_spark[name][1] == rows, (day, name)
        assert len(on_duckdb["user_360"][1]) >= users
        expected = {date(2019, 3, 5)} if day < MOVED_ON else {date(2019, 7, 9)}
        for target in TARGETS:
            for rollup in ROLLUPS:
                assert dates_of_the_lone_user(tmp_path / target, target, rollup) == expected, (day, target, rollup)
        lists = [
            {
                path.relative_to(tmp_path / target): path.read_bytes()
                for path in (tmp_path / target / "extracts").rglob("*.parquet")
            }
            for target in TARGETS
        ]
        assert lists[0].keys() == lists[1].keys()
        assert lists[0] == lists[1], day
