"""Random worlds on both engines: every model, built in full and then over more days, must have the same rows.

What Python writes after dbt (history, measures) is empty here; views of it run all the same.
"""

from __future__ import annotations

import importlib.util
import random
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from tests import compiled_spark, compiled_sql
from tests.properties.chunk import fill_planned
from tests.properties.setups import SETUPS, Setup
from tests.properties.test_rules import seeds_of, together, worlds_of
from tests.properties.worlds import make_batches, write_batch

pytestmark = [
    pytest.mark.spark,
    pytest.mark.skipif(
        importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
        reason="needs Java and what spark.lock installs",
    ),
]
_WORLDS = 6
#: The first day is built in full, the others incrementally: each brings rows of any date.
_DAYS = 4


@pytest.mark.parametrize("setup", [pytest.param(setup, id=setup.name) for setup in SETUPS])
def test_models_have_the_same_rows_on_both_engines(setup: Setup, tmp_path: Path) -> None:
    on_spark = compiled_spark.compile_project(tmp_path / "spark", setup.for_dbt)
    on_duckdb = compiled_sql.compile_project(tmp_path / "duckdb", setup.for_dbt)
    assert [model.name for model in on_spark.models] == [model.name for model in on_duckdb.models]
    worlds, as_of = worlds_of(setup, 1, _WORLDS)
    chooser = random.Random(setup.name)
    deliveries = zip(*(make_batches(chooser, world, _DAYS) for world in worlds.values()), strict=True)
    here = compiled_sql.World(on_duckdb, seeds_of(next(iter(worlds.values()))))
    there = compiled_spark.SparkWorld(on_spark, tmp_path)
    landing = tmp_path / "landing"
    landing.mkdir()
    fill_planned(here.con, [row for world in worlds.values() for row in world.planned_contacts])
    try:
        for day, delivery in enumerate(deliveries, start=1):
            write_batch(together(delivery), landing, f"batch_{day}")
            here.load(landing)
            here.build(as_of + timedelta(days=day - _DAYS))
            there.take(here)
            there.build()
            wrong = [text for model in on_spark.models if (text := compiled_spark.difference(here, there, model.name))]
            assert not wrong, f"day {day}:\n" + "\n".join(wrong)
    finally:
        here.close()
