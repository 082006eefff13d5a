"""What makes an incremental model be built anew, and everything above it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from orchestration.warehouse.prepare import create_control_schema, drop_changed_models, drop_former_models
from orchestration.warehouse.project import fingerprint_of, incremental_fingerprints

#: Model -> (materialized, parents, meta). A rollup over staging, a view between; another beside it.
MODELS: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "stg_events": ("incremental", [], {"logic_version": 1}),
    "stg_orders": ("incremental", [], {"logic_version": 1}),
    "int_events": ("view", ["stg_events"], {}),
    "int_activity": (
        "incremental",
        ["int_events", "taxonomy"],
        {"logic_version": 3, "fingerprint_seeds": ["taxonomy"], "fingerprint_vars": ["visit_gap_minutes"]},
    ),
    "int_orders": ("incremental", ["stg_orders"], {"logic_version": 1, "fingerprint_vars": ["currency"]}),
    "user_360": ("table", ["int_activity", "int_orders"], {}),
}
INCREMENTAL = {name for name, (materialized, _, _) in MODELS.items() if materialized == "incremental"}
VARS = {"business_time_zone": "UTC", "visit_gap_minutes": 30, "currency": "EUR", "other": 1}


class Project:
    """A dbt project, as far as fingerprints look at one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.variables = dict(VARS)
        self.models = {name: (kind, parents, dict(meta)) for name, (kind, parents, meta) in MODELS.items()}
        (folder / "seeds").mkdir()
        self.write_seed("event,class\npage,visit\n")

    def write_seed(self, text: str) -> None:
        (self.folder / "seeds" / "taxonomy.csv").write_text(text)

    def fingerprints(self) -> dict[str, str]:
        (self.folder / "dbt_project.yml").write_text(yaml.safe_dump({"vars": self.variables}))
        nodes: dict[str, Any] = {"taxonomy": {"name": "taxonomy", "resource_type": "seed", "config": {}}}
        for name, (materialized, parents, meta) in self.models.items():
            nodes[name] = {
                "name": name,
                "resource_type": "model",
                "config": {"materialized": materialized, "meta": meta},
                "depends_on": {"nodes": parents},
            }
        return incremental_fingerprints({"nodes": nodes}, self.folder)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def change_version(model: str) -> Callable[[Project], None]:
    return lambda project: project.models[model][2].update(logic_version=99)


def change_var(name: str) -> Callable[[Project], None]:
    return lambda project: project.variables.update({name: "changed"})


@pytest.mark.parametrize(
    ("change", "rebuilt"),
    [
        (lambda project: None, set()),
        (change_version("stg_events"), {"stg_events", "int_activity"}),
        (change_version("stg_orders"), {"stg_orders", "int_orders"}),
        (change_version("int_activity"), {"int_activity"}),
        (lambda project: project.write_seed("event,class\npage,search\n"), {"int_activity"}),
        (change_var("visit_gap_minutes"), {"int_activity"}),
        (change_var("currency"), {"int_orders"}),
        (change_var("business_time_zone"), INCREMENTAL),
        (change_var("other"), set()),
    ],
    ids=["nothing", "staging", "other staging", "rollup", "seed", "var", "other var", "time zone", "unrelated var"],
)
def test_a_change_rebuilds_the_model_and_all_above_it(
    project: Project, change: Callable[[Project], None], rebuilt: set[str]
) -> None:
    con = duckdb.connect()
    create_control_schema(con)
    con.execute("create schema staging")
    # before the first build there is nothing to drop
    assert drop_changed_models(con, project.fingerprints()) == []
    for model in INCREMENTAL:
        con.execute(f"create table staging.{model}(key varchar)")
        con.execute("insert into control.watermarks values (?, 7)", [model])
    change(project)
    assert set(drop_changed_models(con, project.fingerprints())) == rebuilt
    tables = con.execute("select table_name from duckdb_tables() where schema_name = 'staging'").fetchall()
    assert {name for (name,) in tables} == INCREMENTAL - rebuilt
    # without a watermark dbt reads everything; the others go on where they were
    marks = con.execute("select model_name from control.watermarks").fetchall()
    assert {name for (name,) in marks} == INCREMENTAL - rebuilt
    # a run that was killed after this drops nothing more, and finds the tables gone
    assert drop_changed_models(con, project.fingerprints()) == []


def test_a_fingerprint_follows_names_contents_and_texts(tmp_path: Path) -> None:
    one, two = tmp_path / "one.sql", tmp_path / "two.sql"
    one.write_text("select 1")
    two.write_text("select 1")
    all_different = [
        fingerprint_of([]),
        fingerprint_of([one]),
        fingerprint_of([two]),
        fingerprint_of([one, two]),
        fingerprint_of([one], ["a"]),
        fingerprint_of([one], ["a", "b"]),
        fingerprint_of([one], ["ab"]),
    ]
    assert len(set(all_different)) == len(all_different)
    before = fingerprint_of([one])
    one.write_text("select 2")
    assert fingerprint_of([one]) != before


def test_what_is_no_model_any_longer_is_dropped() -> None:
    with duckdb.connect() as con:
        for schema in ("staging", "intermediate", "marts"):
            con.execute(f"create schema {schema}")
        for table in ("staging.stg_events", "intermediate.int_gone", 'intermediate."int ""odd"""', "marts.by_hand"):
            con.execute(f"create table {table} as select 'u1' as user_id")
        con.execute("create view intermediate.int_gone_view as select * from staging.stg_events")
        con.execute("create view intermediate.int_events as select * from staging.stg_events")
        models = {("staging", "stg_events"), ("intermediate", "int_events"), ("intermediate", "int_not_built_yet")}
        assert drop_former_models(con, models) == ['int "odd"', "int_gone", "int_gone_view"]
        left = {name for (name,) in con.execute("select table_name from information_schema.tables").fetchall()}
        assert left == {"stg_events", "int_events", "by_hand"}
        assert drop_former_models(con, models) == []
