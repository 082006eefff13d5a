"""The compiled-SQL runner on Spark: the same project compiled for that engine, over the tables of a DuckDB world.

Rows of small worlds are kept in memory, as a view each, and no code is generated for a query: files and compiling would
take most of the time. How tables are written and what a catalog says of them is for the tests of the pipeline.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import pytest

from orchestration.landing.quoting import literal
from orchestration.warehouse.spark.files import LOADERS_OWN, exported
from tests.compiled_sql import Compiled, Model, Target, World
from tests.compiled_sql import compile_project as compile_for

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_CONFIGURATION = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": (
        "-Duser.timezone=UTC -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m"
    ),
    "spark.ui.enabled": "false",
    "spark.sql.catalogImplementation": "in-memory",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # of few rows Spark makes the table of a join before the date that its keys need is there, and fails
    "spark.sql.autoBroadcastJoinThreshold": "-1",
    "spark.sql.constraintPropagation.enabled": "false",
}
#: Whose tables the models read, and nobody else writes.
_SOURCES = ("raw", "control", "history", "measures", "policy")
_WATERMARKS = "control.watermarks"
#: pyspark 4 needs it.
_JAVA = 17


@cache
def what_is_missing() -> str | None:
    """Return why no session can be started here; None where one can."""
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed (spark.lock)"
    if shutil.which("java") is None:
        return f"there is no Java; Spark needs Java {_JAVA}"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA:
        return f"Spark needs Java {_JAVA} or later, and there is: {said.splitlines()[0] if said else 'nothing'}"
    return None


#: Marks of what starts a session.
NEEDS_SPARK = [
    pytest.mark.spark,
    pytest.mark.skipif(what_is_missing() is not None, reason=what_is_missing() or ""),
]


@cache
def session() -> SparkSession:
    """Return the one session of this process."""
    from pyspark.sql import SparkSession

    folder = mkdtemp(prefix="barometer_spark_")
    builder = SparkSession.builder.master("local[2]").appName("barometer")
    for name, value in {**_CONFIGURATION, "spark.sql.warehouse.dir": folder, "spark.local.dir": folder}.items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    started.sparkContext.setLogLevel("ERROR")
    return started


def _pretend(folder: Path, tables: Iterable[tuple[str, str]]) -> None:
    for schema, name in tables:
        session().sql(f"create schema if not exists {schema}")
        session().sql(f"create table if not exists {schema}.{name} (nothing int) using parquet")


def _forget(_: Path) -> None:
    """Drop the tables that dbt was shown, or what it compiles next would be in the incremental form at once."""
    for row in session().sql("show schemas").collect():
        if row[0] != "default":
            session().sql(f"drop schema {row[0]} cascade")
    # dbt has set what its profile says
    for name, value in _CONFIGURATION.items():
        if session().conf.isModifiable(name):
            session().conf.set(name, value)


def compile_project(folder: Path, variables: Mapping[str, Any] | None = None) -> Compiled:
    """Compile the project for Spark with the vars given over its own; kept until the project changes."""
    # before dbt makes one as its profile says, with files where it is started
    session()
    return compile_for(folder, variables, SPARK)


SPARK = Target("spark", _pretend, _forget)


class SparkWorld:
    """What Spark makes of the tables of a DuckDB world."""

    def __init__(self, compiled: Compiled, folder: Path) -> None:
        """Begin without a table; in the folder what is taken over is left."""
        self._compiled = compiled
        self._folder = folder
        self._relations: dict[str, str] = {}
        self._watermarks: dict[str, int] = {}
        self._companions = {model.touched_by for model in compiled.models}

    def take(self, world: World) -> None:
        """Take over every table that models read and none makes, as it is now."""
        tables = world.con.execute(
            f"select database_name, schema_name, table_name from duckdb_tables() where schema_name in {_SOURCES}"
        ).fetchall()
        for database, schema, name in tables:
            if f"{schema}.{name}" != _WATERMARKS:
                self._take(world, f'"{database}"."{schema}"."{name}"', f"{schema}.{name}")
        self._keep_watermarks()

    def _take(self, world: World, relation: str, table: str) -> None:
        query = f"select * from {relation}"
        types = {row[0]: row[1] for row in world.con.execute(f"describe {query}").fetchall()}
        columns = {name: _type_there(type_) for name, type_ in types.items() if name not in LOADERS_OWN}
        if world.con.execute(f"select 1 from {relation} limit 1").fetchone() is None:
            nothing = ", ".join(f"cast(null as {type_}) as `{name}`" for name, type_ in columns.items())
            self._keep(table, session().sql(f"select {nothing} where false"))
            return
        file = self._folder / f"{table}.parquet"
        world.con.execute(
            f"copy (select {exported(world.con, query)} from ({query})) to {literal(str(file))} (format parquet)"
        )
        schema = ", ".join(f"`{name}` {type_}" for name, type_ in columns.items())
        self._keep(table, session().read.schema(schema).parquet(str(file)))

    def build(self, is_full: bool = False, only: Sequence[str] | None = None) -> None:
        """Run every model, or ``only`` some: incremental ones in that form, unless new or ``is_full``."""
        for model in self._compiled.models:
            if only is not None and model.name not in only:
                continue
            try:
                self._build(model, is_full)
            except Exception as error:
                raise AssertionError(f"{model.name}: {str(error)[:3000]}") from error

    def _build(self, model: Model, is_full: bool) -> None:
        relation = _plain_name(model.relation)
        if model.materialized == "incremental" and not is_full and model.name in self._watermarks:
            self._replace(model, self._sql(model.incremental_sql))
        elif model.contract:
            columns = ", ".join(
                f"cast(`{name}` as {type_.replace('varchar', 'string')}) as `{name}`"
                for name, type_ in model.contract.items()
            )
            self._keep(relation, self._sql(f"select {columns} from ({model.full_sql}\n) as built"))
        else:
            self._keep(relation, self._sql(model.full_sql))
        if model.materialized == "incremental" or model.name in self._companions:
            self._move_watermark(model)

    def _replace(self, model: Model, fresh: DataFrame) -> None:
        """Do as the project's strategy does: write anew the partitions that touched keys are in, and no other."""
        target = self._view(_plain_name(model.relation))
        touched = self._view(_plain_name(self._compiled.relations[str(model.touched_by)]))
        columns = ", ".join(f"`{name}`" for name in session().table(target).columns)
        dates = [key for key in model.touched_keys if key.endswith("_date")]
        part = f"trunc({dates[0]}, 'MM')" if dates else f"pmod(crc32({model.touched_keys[0]}), 16)"
        same = " and ".join(f"touched.{key} = kept.{key}" for key in model.touched_keys)
        self._keep("new.rows", fresh)
        after = session().sql(
            f"select {columns} from {target} as kept where {part} in (select {part} from {touched}) "
            f"and not exists (select 1 from {touched} as touched where {same}) "
            f"union all select {columns} from {self._view('new.rows')}"
        )
        self._keep("new.parts", after)
        written = f"select {part} as part from {touched} union select {part} from {self._view('new.parts')}"
        left = session().sql(
            f"select {columns} from {target} as old where not exists "
            f"(select 1 from ({written}) as written where written.part = {part}) "
            f"union all select {columns} from {self._view('new.parts')}"
        )
        self._keep(_plain_name(model.relation), left)

    def _move_watermark(self, model: Model) -> None:
        """Do as the macro move_watermark."""
        max_load_id = self._sql(f"select max_load_id from {self._view('control.run_context')}").collect()[0][0]
        held = [self._watermarks[parent] for parent in model.parents if parent in self._watermarks]
        self._watermarks[model.name] = min([max_load_id, *held])
        self._keep_watermarks()

    def _keep_watermarks(self) -> None:
        values = ", ".join(f"('{name}', {load_id}L)" for name, load_id in self._watermarks.items())
        source = f"values {values} as held(model_name, load_id)" if values else "select '' as model_name, 0L as load_id"
        self._keep(_WATERMARKS, session().sql(f"select * from ({source}) where model_name != ''"))

    def rows(self, model: str) -> list[dict[str, Any]]:
        """Return the rows of a model as dicts, in no particular order; times are in UTC, dates text."""
        table = session().table(self._view(_plain_name(self._compiled.relations[model])))
        # a time with a zone would be told in that of this machine; Python has no date before the year 1
        told_as = {"timestamp": "timestamp_ntz", "date": "string"}
        columns = [f"cast(`{name}` as {told_as.get(type_, type_)}) as `{name}`" for name, type_ in table.dtypes]
        return [row.asDict() for row in table.selectExpr(*columns).collect()]

    def _sql(self, sql: str) -> DataFrame:
        return session().sql(_NAME.sub(self._view_of_match, sql))

    def _view_of_match(self, match: re.Match[str]) -> str:
        name = f"{match[1]}.{match[2]}"
        return self._relations.get(name, match[0])

    def _view(self, table: str) -> str:
        return self._relations[table]

    def _keep(self, table: str, frame: DataFrame) -> None:
        """Keep the rows of a query in memory, under the name of a table."""
        from pyspark.sql import DataFrame

        view = table.replace(".", "__")
        spark = session()
        java = spark._jsparkSession.createDataFrame(frame._jdf.collectAsList(), frame._jdf.schema())  # type: ignore
        DataFrame(java, spark).createOrReplaceTempView(view)
        self._relations[table] = view


#: A table as compiled SQL names it: its schema and its name.
_NAME = re.compile(r"(?<![\w.`])`?(\w+)`?\.`?(\w+)`?(?![\w`(])")


def _plain_name(relation: str) -> str:
    return relation.replace("`", "")


def _type_there(type_: str) -> str:
    """A type of DuckDB as Spark calls it."""
    if type_.endswith("[]"):
        return f"array<{_type_there(type_[:-2])}>"
    return {"VARCHAR": "string", "INTEGER": "int", "UBIGINT": "decimal(20, 0)"}.get(type_, type_)


def difference(here: World, there: SparkWorld, model: str) -> str:
    """Compare the rows of a model on both engines; empty if they are the same."""
    duckdb, spark = (Counter(_row(row) for row in world.rows(model)) for world in (here, there))
    only_duckdb, only_spark = list((duckdb - spark).elements()), list((spark - duckdb).elements())
    if not only_duckdb and not only_spark:
        return ""
    text = f"{model}: of {duckdb.total()} rows {len(only_duckdb)} on DuckDB only, {len(only_spark)} on Spark only"
    if not only_duckdb or not only_spark:
        return f"{text}: {dict((only_duckdb or only_spark)[0])}"
    row = only_duckdb[0]
    # the row most like it tells what differs
    twin = max(only_spark, key=lambda other: len(set(row) & set(other)))
    return f"{text}: {dict(set(row) - set(twin))} is {dict(set(twin) - set(row))} on Spark, in {dict(row)}"


#: How DuckDB calls a date before the year 1; Spark has a year 0.
_BEFORE_CHRIST = re.compile(r"(\d{4})(-\d\d-\d\d) \(BC\)")


def _row(row: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, _plain(value)) for name, value in sorted(row.items()))


def _plain(value: Any) -> Any:
    """A value as both engines have it: numbers are what they are, whatever their type, and dates text."""
    if type(value) is date:
        return value.isoformat()
    if isinstance(value, str) and (before := _BEFORE_CHRIST.fullmatch(value)):
        return f"{1 - int(before[1]):04}{before[2]}"
    if isinstance(value, dict):
        return tuple((name, _plain(part)) for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    return "nan" if value != value else value
