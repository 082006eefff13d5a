"""Random worlds through the real pipeline: dbt gives, table by table, what the compiled-SQL runner gives."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from tests import compiled_sql
from tests.pipeline import run_pipeline
from tests.properties.worlds import Batch, make_case, whole, write_batch

WORLDS = 30
AS_OF = date(2024, 6, 15)
#: Records of runs, which say when something happened on this machine.
RECORDS = {
    "build_info",
    "load_files",
    "rejected_rows",
    "rejected_files",
    "bad_values",
    "pipeline_runs",
    "sync_runs",
    "sync_rows",
}
#: Which load brought a row: files are loaded in the same order, but nobody promises that.
LOAD_COLUMNS = {"load_id", "changed_load_id"}


def thirty_worlds() -> Batch:
    """Rows of worlds that share nothing, their ids beginning with their number."""
    rows: Batch = {}
    for number in range(WORLDS):
        case = make_case(number, settings=False, time_zone="UTC", as_of=AS_OF, prefix=f"w{number}_")
        for dataset, more in whole(case.world).items():
            rows.setdefault(dataset, []).extend(more)
    return rows


def contents(con: duckdb.DuckDBPyConnection, relation: str) -> Counter[tuple[str, ...]]:
    """The rows of a table as text, without the columns that say which load brought them."""
    names = [column[0] for column in con.execute(f"from {relation} limit 0").description or []]
    kept = ", ".join(f'"{name}"' for name in sorted(names) if name not in LOAD_COLUMNS)
    return Counter(tuple(map(str, row)) for row in con.execute(f"select {kept} from {relation}").fetchall())


def test_dbt_and_the_runner_give_the_same_rows(tmp_path: Path) -> None:
    write_batch(thirty_worlds(), tmp_path / "landing", "all")
    run_pipeline(tmp_path / "landing", tmp_path / "data", AS_OF)
    compiled = compiled_sql.compile_project(tmp_path / "compiled")
    world = compiled_sql.World(compiled)
    world.load(tmp_path / "landing")
    world.build(AS_OF)
    warehouse = tmp_path / "data" / "warehouse"
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for database in ("working", "build"):
            con.execute(f"attach '{warehouse}/{database}.duckdb' as {database} (read_only)")
        compared: dict[str, Any] = {}
        for model in compiled.models:
            if model.materialized == "view" or model.name in RECORDS:
                continue
            compared[model.name] = contents(con, model.relation)
            assert compared[model.name] == contents(world.con, model.relation), model.name
    world.close()
    assert len(compared) > 70
    assert len(compared["user_360"]) > WORLDS
