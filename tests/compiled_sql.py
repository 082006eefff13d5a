"""The compiled-SQL runner: dbt compiles the project once, then its SQL runs in fresh in-memory DuckDB databases.

A run of dbt costs seconds, a world here a fraction of one. Each incremental model is compiled in both forms, full and
incremental, and applied as the project's strategy does: delete the touched keys, insert the new rows, move the
watermark.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import duckdb

from orchestration.landing.load import load_landing
from orchestration.landing.schema import create_raw_schema
from orchestration.measures.measure import measure
from orchestration.measures.tables import create_measures_schema
from orchestration.settings import DBT_PROJECT, ROOT, dbt_vars, load_settings
from orchestration.warehouse import prepare
from orchestration.warehouse.build_state import create_history_schema
from orchestration.warehouse.families import published_families, write_generated
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.project import fingerprint_of, project_fingerprint

#: They are read from the folder's pages, which takes longer than a small world.
_families = cache(published_families)
_CACHE = ROOT / ".pytest_cache" / "compiled"


@dataclass(frozen=True)
class Model:
    """A model with its SQL, as dbt compiled it."""

    name: str
    relation: str
    materialized: str
    full_sql: str
    incremental_sql: str
    touched_by: str | None
    touched_keys: list[str]
    parents: list[str]
    #: Column -> type, where a contract says so.
    contract: dict[str, str]


@dataclass(frozen=True)
class Target:
    """An engine that dbt compiles for."""

    name: str
    #: Makes dbt see that tables are there, which it is given as schema and name; that is all it looks at.
    pretend: Callable[[Path, Iterable[tuple[str, str]]], None]
    #: ... and forgets them.
    forget: Callable[[Path], None]


def _pretend(folder: Path, tables: Iterable[tuple[str, str]]) -> None:
    with open_duckdb(folder / "working.duckdb") as con:
        for schema, name in tables:
            con.execute(f"create schema if not exists {schema}")
            con.execute(f"create table {schema}.{name} (nothing integer)")


DUCKDB = Target("duckdb", _pretend, lambda folder: (folder / "working.duckdb").unlink())


@dataclass(frozen=True)
class Compiled:
    """The project's models in the order in which they can run, its singular tests, and how to fill its seeds."""

    models: list[Model]
    tests: dict[str, str]
    seeds: dict[str, dict[str, str]]
    relations: dict[str, str]
    variables: dict[str, Any]

    def only(self, names: Sequence[str]) -> Compiled:
        """Return the part that the models named here need."""
        wanted = set(names)
        for model in reversed(self.models):
            if model.name in wanted:
                wanted |= set(model.parents)
        return Compiled(
            models=[model for model in self.models if model.name in wanted],
            tests=self.tests,
            seeds={name: types for name, types in self.seeds.items() if name in wanted},
            relations=self.relations,
            variables=self.variables,
        )


def compile_project(folder: Path, variables: Mapping[str, Any] | None = None, target: Target = DUCKDB) -> Compiled:
    """Compile the project with the vars given over its own; kept until the project changes."""
    write_generated()
    given = json.dumps(variables or {}, sort_keys=True)
    name = fingerprint_of([Path(__file__)], [project_fingerprint(), given, target.name])
    cached = _CACHE / f"{name}.json"
    _CACHE.mkdir(parents=True, exist_ok=True)
    # workers of one test run wait for each other: compiling takes half a minute
    with (_CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if cached.exists():
            content = json.loads(cached.read_text(encoding="utf-8"))
            return Compiled(**{**content, "models": [Model(**model) for model in content["models"]]})
        compiled = _compile(folder, variables or {}, target)
        cached.write_text(json.dumps(asdict(compiled)), encoding="utf-8")
        return compiled


def _compile(folder: Path, variables: Mapping[str, Any], target: Target) -> Compiled:
    from dbt.cli.main import dbtRunner

    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        "BAROMETER_TARGET": target.name,
        "BAROMETER_WORKING_FILE": str(folder / "working.duckdb"),
        "BAROMETER_BUILD_FILE": str(folder / "build.duckdb"),
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_PROFILES_DIR": str(ROOT),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    with _environment(environment):
        with open_duckdb(folder / "working.duckdb") as con:
            create_raw_schema(con)
            prepare.create_control_schema(con)
            prepare.write_run_context(con, prepare.RunContext(date(2020, 1, 1), True, datetime(2020, 1, 2)))
        with open_duckdb(folder / "build.duckdb") as con:
            create_history_schema(con, published_families())
            create_measures_schema(con)
        given = ["--vars", json.dumps(variables)]
        manifest = _invoke(dbtRunner(), ["parse", *given])
        runner = dbtRunner(manifest=manifest)
        _invoke(runner, ["compile", *given, "--select", "resource_type:model", "test_type:singular"])
        nodes = _nodes(folder)
        # that a table is there is all that makes dbt write the incremental form
        target.pretend(
            folder,
            [
                (node["schema"], node["alias"])
                for node in nodes.values()
                if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental"
            ],
        )
        _invoke(runner, ["compile", *given, "--select", "config.materialized:incremental"])
        incremental = {name: node["compiled_code"] for name, node in _nodes(folder).items() if "compiled_code" in node}
        target.forget(folder)
    models = {
        unique_id: Model(
            name=node["name"],
            relation=node["relation_name"],
            materialized=node["config"]["materialized"],
            full_sql=node["compiled_code"],
            incremental_sql=incremental[unique_id],
            touched_by=node["config"]["meta"].get("touched_by"),
            touched_keys=node["config"]["meta"].get("touched_keys", []),
            parents=[nodes[parent]["name"] for parent in node["depends_on"]["nodes"] if parent in nodes],
            contract={column["name"]: column["data_type"] for column in node["columns"].values()}
            if node["config"]["contract"]["enforced"]
            else {},
        )
        for unique_id, node in nodes.items()
        if node["resource_type"] == "model"
    }
    parents = {unique_id: nodes[unique_id]["depends_on"]["nodes"] for unique_id in models}
    return Compiled(
        models=[models[unique_id] for unique_id in _in_graph_order(parents)],
        tests={
            node["name"]: node["compiled_code"]
            for node in nodes.values()
            if node["resource_type"] == "test" and "test_metadata" not in node
        },
        seeds={
            node["name"]: node["config"]["column_types"] for node in nodes.values() if node["resource_type"] == "seed"
        },
        relations={
            node["name"]: node["relation_name"] for node in nodes.values() if node["resource_type"] in ("model", "seed")
        },
        variables={**dbt_vars(), **variables},
    )


def _nodes(folder: Path) -> dict[str, Any]:
    """The models, seeds and tests of the manifest."""
    return json.loads((folder / "target" / "manifest.json").read_text(encoding="utf-8"))["nodes"]


def _invoke(runner: Any, arguments: list[str]) -> Any:
    with redirect_stdout(StringIO()) as output:
        result = runner.invoke(["--quiet", "--no-use-colors", *arguments])
    if not result.success:
        raise AssertionError(f"dbt {' '.join(arguments)} failed: {result.exception or output.getvalue()}")
    return result.result


def _in_graph_order(parents: Mapping[str, Sequence[str]]) -> list[str]:
    done: list[str] = []

    def visit(unique_id: str) -> None:
        if unique_id in done or unique_id not in parents:
            return
        for parent in parents[unique_id]:
            visit(parent)
        done.append(unique_id)

    for unique_id in sorted(parents):
        visit(unique_id)
    return done


@contextmanager
def _environment(values: Mapping[str, str]) -> Any:
    before = {key: os.environ.get(key) for key in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


class World:
    """An in-memory warehouse: load landing folders into it, build it as of a date, read its tables."""

    def __init__(
        self, compiled: Compiled, seeds: Mapping[str, list[dict[str, Any]]] | None = None, folder: Path | None = None
    ) -> None:
        """Make the empty tables and fill the seeds; ``seeds`` replaces the rows of those it names.

        With a ``folder`` the databases are files in it, as those of the pipeline are.
        """
        self._compiled = compiled
        self._companions = {model.touched_by for model in compiled.models}
        self.con = duckdb.connect(":memory:")
        self.con.execute("set TimeZone = 'UTC'; set threads = 1")
        for database in ("working", "build"):
            file = folder / f"{database}.duckdb" if folder else ":memory:"
            self.con.execute(f"attach '{file}' as {database}")
        self.con.execute("use build")
        create_history_schema(self.con, _families())
        create_measures_schema(self.con)
        self.con.execute("use working")
        create_raw_schema(self.con)
        prepare.create_control_schema(self.con)
        for relation in compiled.relations.values():
            database, schema, _ = relation.split(".")
            self.con.execute(f"create schema if not exists {database}.{schema}")
        for seed in compiled.seeds:
            self.fill_seed(seed, (seeds or {}).get(seed))

    def fill_seed(self, seed: str, rows: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Fill a seed with the rows given, or with those of its file."""
        relation, types = self._compiled.relations[seed], self._compiled.seeds[seed]
        if rows is None:
            columns = ", ".join(f"'{column}': '{type_}'" for column, type_ in types.items())
            source = f"read_csv('{DBT_PROJECT / 'seeds' / seed}.csv', header = true, columns = {{{columns}}})"
            self.con.execute(f"create or replace table {relation} as select * from {source}")
            return
        self.con.execute(f"create or replace table {relation} ({', '.join(f'{c} {t}' for c, t in types.items())})")
        if rows:
            values = ", ".join(f"({', '.join('?' for _ in types)})" for _ in rows)
            self.con.execute(
                f"insert into {relation} values {values}", [row.get(column) for row in rows for column in types]
            )

    def load(self, landing: Path) -> None:
        """Load what is new in a landing folder, as the pipeline does."""
        settings = load_settings(self._compiled.variables, settle_seconds=0)
        load_landing(self.con, landing, settings, lambda: datetime.now(UTC).replace(tzinfo=None), lambda _: None)

    def build(self, as_of: date, is_full: bool = False, only: Sequence[str] | None = None) -> None:
        """Run every model, or ``only`` some, as of a date: incremental ones in that form, unless new or ``is_full``."""
        prepare.write_run_context(self.con, prepare.RunContext(as_of, True, datetime(2020, 1, 1)))
        for model in self._compiled.models:
            if only is not None and model.name not in only:
                continue
            if model.materialized == "incremental":
                self._build_incremental(model, is_full)
            else:
                kind = "view" if model.materialized == "view" else "table"
                self.con.execute(f"create or replace {kind} {model.relation} as {model.full_sql}")
            if model.materialized == "incremental" or model.name in self._companions:
                self._move_watermark(model)

    def measure(self, *tables: str) -> None:
        """Compute the measures of some tables from what was built last, as the pipeline does after dbt."""
        self.con.execute("use build")
        measure(self.con, self._compiled.variables, tables)
        self.con.execute("use working")

    def _build_incremental(self, model: Model, is_full: bool) -> None:
        exists = self.con.execute("select 1 from control.watermarks where model_name = ?", [model.name]).fetchone()
        if is_full or not exists:
            self.con.execute(f"create or replace table {model.relation} as {model.full_sql}")
            return
        touched = self._compiled.relations[str(model.touched_by)]
        keys = " and ".join(f"target.{key} = touched.{key}" for key in model.touched_keys)
        self.con.execute(f"create or replace temp table new_rows as {model.incremental_sql}")
        self.con.execute(f"delete from {model.relation} as target using {touched} as touched where {keys}")
        self.con.execute(f"insert into {model.relation} by name select * from new_rows")

    def _move_watermark(self, model: Model) -> None:
        """Do as the macro move_watermark: everything loaded, or less where a model that this one reads lags behind."""
        self.con.execute("delete from control.watermarks where model_name = ?", [model.name])
        self.con.execute(
            "insert into control.watermarks select ?, coalesce(least(max_load_id, (select min(load_id) "
            "from control.watermarks where list_contains(?, model_name))), max_load_id) from control.run_context",
            [model.name, model.parents],
        )

    def rows(self, model: str, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a model as dicts, in no particular order."""
        cursor = self.con.execute(
            f"select {', '.join(columns) if columns else '*'} from {self._compiled.relations[model]}"
        )
        names = [column[0] for column in cursor.description or []]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def relation(self, name: str) -> str:
        """Return the full name of a model or seed."""
        return self._compiled.relations[name]

    def failures(self, test: str) -> list[tuple[Any, ...]]:
        """Return the rows that a singular data test finds wrong."""
        return self.con.execute(self._compiled.tests[test]).fetchall()

    def close(self) -> None:
        """Forget everything."""
        self.con.close()
