"""The files that DuckDB and Spark hand each other."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.landing.schema import create_raw_schema
from orchestration.settings import Settings
from orchestration.warehouse import prepare
from orchestration.warehouse.assets import spark_selections
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.spark import files


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    found = Settings(tmp_path / "landing", tmp_path / "data", date(2024, 6, 15), date(2024, 6, 16), target="spark")
    with open_duckdb(found.working_file) as con:
        create_raw_schema(con)
        prepare.create_control_schema(con)
        for load_id in (1, 2):
            con.execute(
                "insert into raw.events(event_id, event, timestamp, key_hash, load_id, row_number) "
                "select load_id || '-' || n, 'page', timestamp '2024-06-01 10:00:00', n, load_id, n "
                "from (select ? as load_id, unnest(range(3)) as n)",
                [load_id],
            )
        con.execute("insert into control.watermarks values ('stg_orders', 2), ('stg_users', 1)")
        con.execute("insert into control.model_fingerprints values ('stg_orders', 'x')")
    return found


def execute(settings: Settings, sql: str) -> list[Any]:
    with open_duckdb(settings.working_file) as con:
        return con.execute(sql).fetchall()


def files_of_events(settings: Settings) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (settings.spark_tables / "raw" / "events").glob("*.parquet")}


def watermarks(settings: Settings) -> list[Any]:
    return execute(settings, "select * from control.watermarks order by all")


def test_only_a_load_that_lost_rows_is_written_again(settings: Settings) -> None:
    files.take_over(settings)
    files.hand_over(settings)
    before = files_of_events(settings)
    assert before.keys() == {"load_0.parquet", "load_1.parquet", "load_2.parquet"}
    files.hand_over(settings)
    assert files_of_events(settings) == before
    execute(settings, "delete from raw.events where event_id = '1-0'")
    files.hand_over(settings)
    after = files_of_events(settings)
    assert after["load_2.parquet"] == before["load_2.parquet"]
    assert after["load_1.parquet"] != before["load_1.parquet"]
    rows = duckdb.sql(f"from '{settings.spark_tables}/raw/events/*.parquet'")
    assert len(rows.fetchall()) == 5
    assert "key_hash" not in rows.columns
    assert str(rows.types[rows.columns.index("timestamp")]) == "TIMESTAMP WITH TIME ZONE"
    execute(settings, "delete from raw.events where load_id = 1")
    files.hand_over(settings)
    assert files_of_events(settings).keys() == {"load_0.parquet", "load_2.parquet"}


def test_a_hand_over_that_was_killed_is_made_good(settings: Settings) -> None:
    files.take_over(settings)
    files.hand_over(settings)
    folder = settings.spark_tables / "raw" / "events"
    (folder / "load_2.parquet").unlink()
    (folder / "_unfinished.tmp").write_bytes(b"half")
    files.hand_over(settings)
    assert len(duckdb.sql(f"from '{folder}/*.parquet'").fetchall()) == 6


def test_what_spark_holds_is_known_from_its_folder(settings: Settings) -> None:
    files.take_over(settings)
    # a folder that is not this file's: nothing of it is trusted, nor what is remembered of it
    assert watermarks(settings) == []
    assert execute(settings, "select * from control.model_fingerprints") == []
    execute(settings, "insert into control.watermarks values ('stg_orders', 1), ('stg_users', 1)")
    files.hand_over(settings)
    # a run that was killed after one model had moved its own
    held = settings.spark_tables / "control" / "watermarks" / "model_name=stg_orders"
    for path in held.glob("*.parquet"):
        path.unlink()
    duckdb.sql(f"copy (select 2::bigint as load_id) to '{held}/part.parquet'")
    files.take_over(settings)
    assert watermarks(settings) == [("stg_orders", 2), ("stg_users", 1)]
    execute(settings, "delete from control.watermarks where model_name = 'stg_users'")
    files.hand_over(settings)
    files.take_over(settings)
    assert watermarks(settings) == [("stg_orders", 2)]


@pytest.mark.parametrize("what", ["folder", "target"])
def test_a_folder_of_another_time_is_left(settings: Settings, what: str) -> None:
    files.take_over(settings)
    files.hand_over(settings)
    execute(settings, "insert into control.watermarks values ('stg_orders', 2)")
    if what == "folder":
        state = settings.spark / "state.json"
        state.write_text(json.dumps(json.loads(state.read_text()) | {"folder": "/elsewhere"}))
    else:
        with open_duckdb(settings.working_file) as con:
            files.leave(con)
    files.take_over(settings)
    assert watermarks(settings) == []
    assert files_of_events(settings) == {}


def node(name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": "model",
        "schema": "marts",
        "database": "build",
        "fqn": ["barometer", "marts", name],
        "columns": {},
        "config": {"materialized": "table", "contract": {"enforced": False}},
    } | more


def test_tables_come_back_with_the_types_of_their_contract(settings: Settings) -> None:
    folder = settings.spark_tables / "marts" / "rfm"
    folder.mkdir(parents=True)
    duckdb.sql(
        f"copy (select 'u' as user_id, 1::integer as frequency, timestamptz '2024-06-01 10:00:00+00' as at) "
        f"to '{folder}/part.parquet'"
    )
    required = [{"type": "not_null"}]
    rfm = node("rfm", config={"materialized": "table", "contract": {"enforced": True}}) | {
        "columns": {
            "user_id": {"name": "user_id", "data_type": "string", "constraints": required},
            "frequency": {"name": "frequency", "data_type": "bigint", "constraints": []},
        }
    }
    (settings.spark_tables / "intermediate" / "int_sessions__new").mkdir(parents=True)
    files.bring_back(settings, {"nodes": {"rfm": rfm, "other": node("other")}}, {"rfm"})
    with open_duckdb(settings.build_file) as con:
        described = [row[:3] for row in con.execute("describe marts.rfm").fetchall()]
        assert described == [("user_id", "VARCHAR", "NO"), ("frequency", "BIGINT", "YES"), ("at", "TIMESTAMP", "YES")]
        assert con.execute("from marts.rfm").fetchall() == [("u", 1, datetime(2024, 6, 1, 10))]
    assert not list(settings.spark_tables.glob("*/*__new"))
    duckdb.sql(f"copy (select null::varchar as user_id, 1::integer as frequency) to '{folder}/part.parquet'")
    with pytest.raises(duckdb.ConstraintException):
        files.bring_back(settings, {"nodes": {"rfm": rfm}}, {"rfm"})


def test_views_of_marts_are_left_to_duckdb() -> None:
    view = node("user_segments", config={"materialized": "view"})
    manifest = {"nodes": {"rfm": node("rfm"), "user_segments": view}}
    assert spark_selections(manifest, []) == (
        ["--select", "user_segments"],
        ["--exclude", "user_segments"],
    )
    here, there = spark_selections(manifest, ["--select", "rfm", "path:models/marts", "--exclude", "path:models/plan"])
    assert here == [
        "--select",
        "rfm,user_segments",
        "path:models/marts,user_segments",
        "--exclude",
        "path:models/plan",
    ]
    assert there == ["--select", "rfm", "path:models/marts", "--exclude", "path:models/plan", "user_segments"]
