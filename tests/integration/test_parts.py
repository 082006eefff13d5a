"""Rollups that are built anew by months have the rows of those that are built at once."""

from __future__ import annotations

import json
import os
import random
import subprocess
from datetime import date
from pathlib import Path

import duckdb

from orchestration.settings import settings_from_environment
from orchestration.warehouse.dbt import dbt_command, dbt_environment
from orchestration.warehouse.project import run_target
from tests import compiled_sql
from tests.properties.worlds import made_late, make_case, whole, write_batch

AS_OF = date(2024, 6, 15)
#: In each somebody is tired of messages.
WORLDS = (17, 22, 38)


def rows_of(con: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, ...]]:
    """The rows of a table as text, in some order."""
    return sorted(tuple(map(str, row)) for row in con.execute(f"from {relation}").fetchall())


def test_parts_have_the_rows_of_the_whole(tmp_path: Path) -> None:
    for number in WORLDS:
        case = make_case(number, settings=False, time_zone="UTC", as_of=AS_OF, prefix=f"w{number}_")
        world = made_late(case.world, AS_OF, random.Random(number))
        write_batch(whole(world), tmp_path / "landing", f"world_{number}")
    compiled = compiled_sql.compile_project(tmp_path / "compiled")
    by_part = [model for model in compiled.models if "/* of a part */" in model.full_sql]
    assert by_part
    settings = settings_from_environment({**os.environ, "BAROMETER_DATA": str(tmp_path / "data")})
    settings.warehouse.mkdir(parents=True)
    built = compiled_sql.World(compiled, folder=settings.warehouse)
    built.load(tmp_path / "landing")
    built.build(AS_OF)
    at_once = {model.name: rows_of(built.con, model.relation) for model in by_part}
    months = built.con.execute(
        "select count(distinct date_trunc('month', timestamp)) from working.raw.events"
    ).fetchone()
    built.close()
    subprocess.run(
        [
            *dbt_command(),
            "run",
            "--full-refresh",
            "--vars",
            json.dumps({"rows_built_at_once": 1}),
            "--select",
            *at_once,
        ],
        cwd=settings.warehouse,
        env=dbt_environment(settings, run_target(settings)),
        check=True,
    )
    with duckdb.connect() as con:
        con.execute(f"set TimeZone = 'UTC'; attach '{settings.working_file}' as working (read_only)")
        in_parts = {model.name: rows_of(con, model.relation) for model in by_part}
    assert months is not None and months[0] > 2
    assert in_parts == at_once
    assert all(in_parts.values())
