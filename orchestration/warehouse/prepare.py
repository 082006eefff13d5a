"""What is written before dbt starts: the date of the run, and which incremental models must be built anew."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import identifier
from orchestration.landing.schema import layout
from orchestration.report import pipeline_runs, sync_records
from orchestration.settings import SAMPLE_MARK


@dataclass(frozen=True)
class RunContext:
    """The one row that says what the models are asked for."""

    as_of: date
    is_final: bool
    built_at: datetime


def create_control_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Create the tables that steer the build, empty, where they are missing."""
    con.execute("create schema if not exists control")
    con.execute(
        "create table if not exists control.run_context"
        "(as_of date, plan_date date, is_final boolean, built_at timestamp, max_load_id bigint)"
    )
    con.execute("create table if not exists control.watermarks(model_name varchar, load_id bigint)")
    con.execute("create table if not exists control.checked_models(model_name varchar, load_id bigint)")
    con.execute("create table if not exists control.model_fingerprints(model_name varchar, fingerprint varchar)")
    con.execute("create table if not exists control.facts(name varchar, value varchar)")
    con.execute("create table if not exists control.build_state(fingerprint varchar)")
    con.execute("create table if not exists control.upstream_state(fingerprint varchar)")
    columns = ", ".join(f"{name} {type_}" for name, type_ in pipeline_runs.COLUMNS.items())
    con.execute(f"create table if not exists control.pipeline_runs({columns})")
    for table, of_table in sync_records.COLUMNS.items():
        columns = ", ".join(f"{name} {type_}" for name, type_ in of_table.items())
        con.execute(f"create table if not exists control.{table}({columns})")


def facts_of(landing: Path, time_zone: str) -> dict[str, str]:
    """Return what must stay the same for the life of a warehouse, of a run that reads a landing folder."""
    return {
        "rows": "the sample" if (landing / SAMPLE_MARK).exists() else "files of your own",
        "business_time_zone": time_zone,
        "layout of the raw tables": layout(),
    }


def check_facts(con: duckdb.DuckDBPyConnection, facts: Mapping[str, str], is_remembered: bool = True) -> None:
    """Remember what must stay the same for the life of a warehouse; raise BarometerError where it has changed.

    A sample must not mix with a company's own rows, times that were read in one zone stay read so, and tables keep the
    columns that they were made with.
    """
    stored = dict(con.execute("select name, value from control.facts").fetchall())
    # a fact that a filled warehouse lacks is of an older version
    unknown = "that of an older version" if stored else None
    for name, value in facts.items():
        if stored.get(name, unknown or value) != value:
            raise BarometerError(
                f"This warehouse was filled with {name} = {stored.get(name, unknown)}; this run has {value}.",
                "Set BAROMETER_DATA to another folder, or move the folder warehouse/ away (and planned_contacts/ too, "
                "if it is that of the sample): the next run loads everything anew from the landing files.",
            )
        if is_remembered and name not in stored:
            con.execute("insert into control.facts values (?, ?)", [name, value])


def write_run_context(con: duckdb.DuckDBPyConnection, context: RunContext, loaded: int | None = None) -> None:
    """Replace the one row of control.run_context, in one transaction.

    ``loaded`` is the id of the last load that models may see, by default that of the ledger in the same file.
    """
    con.execute("begin")
    con.execute("delete from control.run_context")
    con.execute(
        "insert into control.run_context values (?, ?, ?, ?, ?)",
        [
            context.as_of,
            context.as_of + timedelta(days=1),
            context.is_final,
            context.built_at,
            last_load_id(con) if loaded is None else loaded,
        ],
    )
    con.execute("commit")


def write_pipeline_runs(con: duckdb.DuckDBPyConnection, activation_file: Path) -> None:
    """Replace the rows of control.pipeline_runs by the record of the stages that have ended, in one transaction."""
    con.execute("begin")
    con.execute("delete from control.pipeline_runs")
    rows = pipeline_runs.finished(activation_file)
    pipeline_runs.insert_rows(con, "control.pipeline_runs", pipeline_runs.COLUMNS, rows)
    con.execute("commit")


def last_load_id(con: duckdb.DuckDBPyConnection) -> int:
    """Return the id of the last load, 0 before the first."""
    row = con.execute("select coalesce(max(load_id), 0) from raw.load_files").fetchone()
    return int(row[0]) if row else 0


def distrust_changed_models(con: duckdb.DuckDBPyConnection) -> None:
    """Have the keys of a model checked whole in this run, where it changed since the last run whose checks passed."""
    con.execute(
        "delete from control.checked_models where (model_name, load_id) not in "
        "(select (model_name, load_id) from control.watermarks)"
    )


def distrust_all_models(con: duckdb.DuckDBPyConnection) -> None:
    """Have the keys of every model checked whole."""
    con.execute("delete from control.checked_models")


def trust_models(con: duckdb.DuckDBPyConnection) -> None:
    """Say that the checks of all incremental models, as they are now, have passed."""
    con.execute("begin")
    con.execute("delete from control.checked_models")
    con.execute("insert into control.checked_models by name from control.watermarks")
    con.execute("commit")


def drop_changed_models(con: duckdb.DuckDBPyConnection, wanted: Mapping[str, str]) -> list[str]:
    """Drop incremental models whose logic, seeds or vars changed, so that dbt builds them in full; return their names.

    A model that was never built is not named.
    """
    stored = dict(con.execute("select model_name, fingerprint from control.model_fingerprints").fetchall())
    schemas = dict(con.execute("select table_name, schema_name from duckdb_tables()").fetchall())
    changed = []
    for name, fingerprint in wanted.items():
        if stored.get(name) == fingerprint:
            continue
        con.execute("begin")
        if name in schemas:
            con.execute(f'drop table "{schemas[name]}"."{name}"')
            changed.append(name)
        con.execute("delete from control.watermarks where model_name = ?", [name])
        con.execute("delete from control.checked_models where model_name = ?", [name])
        con.execute("delete from control.model_fingerprints where model_name = ?", [name])
        con.execute("insert into control.model_fingerprints values (?, ?)", [name, fingerprint])
        con.execute("commit")
    return changed


def drop_former_models(con: duckdb.DuckDBPyConnection, models: Collection[tuple[str, str]]) -> list[str]:
    """Drop what no model makes any longer, and return its names: nobody would erase a user from it.

    ``models`` are (schema, name) of all models in the connection's file; other schemas are left alone.
    """
    found = con.execute(
        "select table_schema, table_name, case table_type when 'VIEW' then 'view' else 'table' end "
        "from information_schema.tables where table_catalog = current_database() order by all"
    ).fetchall()
    schemas = {schema for schema, _ in models}
    former = [
        (schema, name, kind) for schema, name, kind in found if schema in schemas and (schema, name) not in models
    ]
    for schema, name, kind in former:
        con.execute(f"drop {kind} {identifier(schema)}.{identifier(name)}")
    return [name for _, name, _ in former]


def ledger_fingerprint(con: duckdb.DuckDBPyConnection) -> str:
    """Return a text that changes whenever the loader changed anything that models read."""
    row = con.execute(
        "select (select count(*) from raw.load_files), (select coalesce(max(load_id), 0) from raw.load_files), "
        "(select coalesce(sum(rows_erased), 0) from raw.load_files), "
        "(select sum(hash(dataset, file, sha256, reason) % 1000000007) from raw.rejected_files), "
        "(select coalesce(sum(rows_superseded), 0) from raw.load_files), (select count(*) from raw.phone_numbers)"
    ).fetchone()
    return str(row)
