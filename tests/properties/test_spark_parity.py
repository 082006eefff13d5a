"""Random worlds on both engines: every model, built in full and then over more days, must have the same rows.

What Python writes after dbt (history, measures) is empty here; views of it run all the same.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.settings import DBT_PROJECT
from tests import compiled_spark, compiled_sql
from tests.properties.chunk import fill_planned
from tests.properties.setups import SETUPS, Setup
from tests.properties.test_rules import seeds_of, together, worlds_of
from tests.properties.worlds import make_batches, write_batch

pytestmark = compiled_spark.NEEDS_SPARK
#: The first day is built in full, the others incrementally: each brings rows of any date.
_DAYS = 4
_WORLDS = 6
#: ... of which CI looks at so few, and at what these need: staging, rollups, families, pressure, plan.
_WORLDS_IN_CI = 3
_FOLDERS_IN_CI = ("audiences", "plan")
_MODELS_IN_CI = ("user_360", "rfm_cut_points", "contact_pressure_by_channel")
#: The one event of its month, until a better row of it, of another month, arrives.
_LONE = {
    "event_id": "lone",
    "user_id": "lone_user",
    "event": "Product Viewed",
    "timestamp": "2019-03-05T10:00:00Z",
    "product_id": "lone_product",
    "updated_at": "2019-03-05T10:00:00Z",
}
_MOVED = _LONE | {"timestamp": "2019-07-09T10:00:00Z", "updated_at": "2019-07-10T10:00:00Z"}
_MOVED_ON = 3
_ROLLUPS = ("int_user_activity_daily", "int_user_interest_daily")


@pytest.mark.spark_parity
@pytest.mark.parametrize("setup", [pytest.param(setup, id=setup.name) for setup in SETUPS])
def test_models_have_the_same_rows_on_both_engines(setup: Setup, tmp_path: Path) -> None:
    _compare(setup, _WORLDS, tmp_path)


def test_models_up_to_the_plan_have_the_same_rows_on_both_engines(tmp_path: Path) -> None:
    """The part for CI of the test above."""
    names = [file.stem for folder in _FOLDERS_IN_CI for file in (DBT_PROJECT / "models" / folder).glob("*.sql")]
    assert "contact_plan" in names
    _compare(SETUPS[0], _WORLDS_IN_CI, tmp_path, [*names, *_MODELS_IN_CI])


def _compare(setup: Setup, number: int, tmp_path: Path, names: Sequence[str] | None = None) -> None:
    """Build so many worlds on both engines, all models or what is needed for some, and compare them each day."""
    on_spark = compiled_spark.compile_project(tmp_path / "spark", setup.for_dbt)
    on_duckdb = compiled_sql.compile_project(tmp_path / "duckdb", setup.for_dbt)
    assert [model.name for model in on_spark.models] == [model.name for model in on_duckdb.models]
    if names is not None:
        on_spark, on_duckdb = on_spark.only(names), on_duckdb.only(names)
    worlds, as_of = worlds_of(setup, 1, number)
    chooser = random.Random(setup.name)
    deliveries = zip(*(make_batches(chooser, world, _DAYS) for world in worlds.values()), strict=True)
    here = compiled_sql.World(on_duckdb, seeds_of(next(iter(worlds.values()))))
    there = compiled_spark.SparkWorld(on_spark, tmp_path)
    landing = tmp_path / "landing"
    (landing / "events").mkdir(parents=True)
    fill_planned(here.con, [row for world in worlds.values() for row in world.planned_contacts])
    try:
        for day, delivery in enumerate(deliveries, start=1):
            write_batch(together(delivery), landing, f"batch_{day}")
            lone = {1: _LONE, _MOVED_ON: _MOVED}.get(day)
            if lone:
                (landing / "events" / f"lone_{day}.jsonl").write_text(json.dumps(lone) + "\n", encoding="utf-8")
            here.load(landing)
            here.build(as_of + timedelta(days=day - _DAYS))
            there.take(here)
            there.build()
            wrong = [text for model in on_spark.models if (text := compiled_spark.difference(here, there, model.name))]
            assert not wrong, f"day {day}:\n" + "\n".join(wrong)
            expected = {"2019-03-05" if day < _MOVED_ON else "2019-07-09"}
            for rollup in _ROLLUPS:
                dates = {row["activity_date"] for row in there.rows(rollup) if row["user_id"] == "lone_user"}
                assert dates == expected, (day, rollup)
    finally:
        here.close()
