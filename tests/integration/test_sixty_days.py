"""Sixty days of the sample, backfilled by the command after the nightly run of the last one, as an operator would.

Every file, and the history over all of them, equal what the compiled SQL gives for these dates in ascending order.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.settings import ROOT
from orchestration.warehouse import build_state, history
from orchestration.warehouse.families import published_families
from tests import compiled_sql
from tests.pipeline import environment, run_pipeline

SAMPLE = ROOT / "data" / "sample"
AS_OF = date.fromisoformat(json.loads((SAMPLE / "_sample.json").read_text(encoding="utf-8"))["as_of"])
DAYS = [AS_OF - timedelta(days=n) for n in range(60, 0, -1)]
#: What is compared by date.
MARTS = (
    "user_360", "user_segments", "rfm", "rfm_cut_points", "contact_pressure", "contact_pressure_by_channel",
    "channel_eligibility", "contact_plan", "contact_suppressions",
)  # fmt: skip
#: What is compared over all dates; when they were built says nothing.
HISTORY = {
    "segment_changes": "*",
    "recut_segments": "*",
    "segment_sizes": "*",
    "segment_moves": "*",
    "built_dates": "* exclude (built_at)",
}


@dataclass
class Story:
    """What the command left, and how the two differ: rows that only one of them has, by table."""

    data: Path
    output: str
    differences: dict[str, int] = field(default_factory=dict)
    compared: int = 0

    def compare(self, name: str, one: Counter[Any], other: Counter[Any]) -> None:
        self.compared += sum(one.values())
        if one != other:
            self.differences[name] = ((one - other) + (other - one)).total()


def rows(con: duckdb.DuckDBPyConnection, table: str, columns: str = "*") -> Counter[Any]:
    """The rows of a table, whatever the order of its columns."""
    found = con.execute(f"select {columns} from {table}")
    names = [column[0] for column in found.description]
    order = sorted(range(len(names)), key=names.__getitem__)
    return Counter(tuple(str(row[i]) for i in order) for row in found.fetchall())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    data = tmp_path_factory.mktemp("data")
    run_pipeline(SAMPLE, data, AS_OF)
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "backfill", "--from", str(DAYS[0]), "--to", str(DAYS[-1])],
        cwd=ROOT,
        env=environment(SAMPLE, data, AS_OF),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = Story(data, done.stdout + done.stderr)
    print(told.output)
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    world = compiled_sql.World(compiled)
    world.load(SAMPLE)
    of_a_date = [model.name for model in compiled.models if model.materialized == "table"]
    for day in [*DAYS, AS_OF]:
        # the rollups are there after the first
        world.build(day, only=None if day == DAYS[0] else of_a_date)
        world.con.execute("use build")
        history.record(world.con, build_state.built_date(world.con, "build"), published_families(), "build")
        world.con.execute("use working")
        if day == AS_OF:
            continue
        with duckdb.connect(str(data / "warehouse" / "backfill" / f"{day}.duckdb"), read_only=True) as con:
            for mart in MARTS:
                told.compare(f"{mart} of {day}", rows(con, f"marts.{mart}"), rows(world.con, f"build.marts.{mart}"))
    with duckdb.connect(str(data / "warehouse" / "build.duckdb"), read_only=True) as con:
        for table, columns in HISTORY.items():
            told.compare(
                table,
                rows(con, f"history.{table}", columns),
                rows(world.con, f"build.history.{table}", columns),
            )
    world.close()
    seconds = [float(text) for text in re.findall(r"\): built in ([\d.]+) s", told.output)]
    print(
        f"{len(seconds)} dates, {sum(seconds) / max(len(seconds), 1):.1f} s a date (least {min(seconds)}, most "
        f"{max(seconds)}); {told.compared:,} rows compared, {sum(told.differences.values())} differ"
    )
    yield told


def test_every_date_has_a_file(story: Story) -> None:
    files = {path.name for path in (story.data / "warehouse" / "backfill").iterdir()}
    assert files == {f"{day}.duckdb" for day in DAYS}


def test_every_date_and_the_history_are_those_of_builds_in_order(story: Story) -> None:
    assert story.compared > 1_000_000
    assert story.differences == {}


def test_current_tables_stay_where_they_are(story: Story) -> None:
    with duckdb.connect(str(story.data / "warehouse" / "barometer.duckdb"), read_only=True) as con:
        assert con.execute("select as_of from marts.build_info").fetchall() == [(AS_OF,)]
        assert con.execute("select count(*) from history.built_dates").fetchall() == [(1,)]
    assert [path.name for path in (story.data / "extracts").iterdir()] == [str(AS_OF)]
