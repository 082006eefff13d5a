"""How tables and views are written (macros/engine/materializations.sql), in a small project of dbt."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.dbt import dbt_command

PROJECT = {
    "name": "barometer",
    "version": "1.0",
    "profile": "small",
    "macro-paths": [str(DBT_PROJECT / "macros" / "engine")],
    "models": {"barometer": {"hooked": {"+post-hook": "insert into seen select count(*) from {{ this }}"}}},
}
PROFILE = {"small": {"target": "it", "outputs": {"it": {"type": "duckdb", "path": "it.duckdb", "threads": 2}}}}
COLUMNS = [{"name": "id", "data_type": "integer", "constraints": [{"type": "not_null"}]}]
PAGE = {"models": [{"name": "promised", "config": {"contract": {"enforced": True}}, "columns": COLUMNS}]}


class Project:
    """A folder of models, and the file that they are written to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "models" / "hooked").mkdir(parents=True)
        # JSON is YAML
        for name, content in (("dbt_project", PROJECT), ("profiles", PROFILE), ("models/page", PAGE)):
            (folder / f"{name}.yml").write_text(json.dumps(content))
        self.query("create table seen(n integer)")

    def build(self, models: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        for name, sql in models.items():
            (self.folder / "models" / f"{name}.sql").write_text(sql)
        environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_USE_COLORS": "false"}
        return subprocess.run(
            [*dbt_command(), "run"], cwd=self.folder, env=environment, check=False, capture_output=True, text=True
        )

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "it.duckdb")) as con:
            return con.execute(sql).fetchall()

    def kinds(self) -> dict[str, str]:
        tables = self.query("select table_name, table_type from information_schema.tables")
        return {name: kind for name, kind in tables if name != "seen"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project that has been built once."""
    project = Project(tmp_path_factory.mktemp("project"))
    done = project.build(
        {
            "one": "{{ config(materialized='table') }} select 7 as a from range(3)",
            "other": "{{ config(materialized='view') }} select a + 1 as b from {{ ref('one') }}",
            # columns by name, in whatever order and with a comment and a CTE of their own
            "promised": "{{ config(materialized='table') }}\nwith n as (select 4 as id)\n\nselect id from n -- the end",
            "hooked/noted": "{{ config(materialized='table') }} select 1 as a from range(5)",
        }
    )
    assert done.returncode == 0, done.stdout
    assert "[3 rows in" in done.stdout
    return project


def test_they_are_what_the_models_say(project: Project) -> None:
    assert project.kinds() == {"one": "BASE TABLE", "other": "VIEW", "promised": "BASE TABLE", "noted": "BASE TABLE"}
    assert project.query("select * from other") == [(8,)] * 3
    assert project.query("select * from promised") == [(4,)]
    assert project.query("select * from seen") == [(5,)]
    (column,) = project.query("describe promised")
    assert column[:3] == ("id", "INTEGER", "NO")


def test_what_fails_leaves_what_was(project: Project) -> None:
    done = project.build(
        {
            "promised": "{{ config(materialized='table') }} select cast(null as integer) as id",
            "hooked/noted": "{{ config(materialized='table', post_hook='select 1 from nothing') }} select 2 as a",
        }
    )
    assert done.returncode == 1
    assert "NOT NULL constraint failed" in done.stdout
    assert "nothing does not exist" in done.stdout
    assert project.query("select * from promised") == [(4,)]
    assert project.query("select * from noted") == [(1,)] * 5
    assert project.query("select * from seen") == [(5,)]


def test_a_contract_is_held_and_a_model_may_become_the_other_kind(project: Project) -> None:
    done = project.build(
        {
            "one": "{{ config(materialized='view') }} select 9 as a",
            "other": "{{ config(materialized='table') }} select a + 1 as b from {{ ref('one') }}",
            "promised": "{{ config(materialized='table') }} select 'text' as id",
            "hooked/noted": "{{ config(materialized='view') }} select 1 as a",
        }
    )
    assert done.returncode == 1
    assert "Done. PASS=3 WARN=0 ERROR=1" in done.stdout, done.stdout
    assert "This model has an enforced contract that failed" in done.stdout
    assert project.kinds() == {"one": "VIEW", "other": "BASE TABLE", "promised": "BASE TABLE", "noted": "VIEW"}
    assert project.query("select * from other") == [(10,)]
    assert project.query("select * from promised") == [(4,)]
    assert project.query("select * from seen") == [(5,), (1,)]
