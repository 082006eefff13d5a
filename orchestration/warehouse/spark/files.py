"""The Parquet files that DuckDB and Spark hand each other: raw tables one way, tables of the build the other."""

from __future__ import annotations

import json
import logging
import shutil
import uuid
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.contract import DATASETS
from orchestration.landing.quoting import identifier, literal
from orchestration.settings import Settings
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.prepare import create_control_schema

#: Columns of the raw tables by which the loader finds rows again; no model reads them.
LOADERS_OWN = ("key_hash",)
#: Tables of one file a load: what a load brought only ever loses rows. All others are few, and written each time.
_BY_LOAD = (*DATASETS, "touches")
#: Of each table of one file a load, how many rows each file was written with.
_COUNTS = "_rows.json"
_STATE = "state.json"
_UNFINISHED = "_unfinished.tmp"
#: What the columns of a table are while it has no row.
_NONE = "load_0.parquet"
#: What each incremental model holds, a folder a model.
_WATERMARKS = ("control", "watermarks")
#: In the folder control/ DuckDB keeps these for itself.
_KEPT_HERE = ("watermarks", "model_fingerprints", "facts", "build_state", "upstream_state", "spark_folder")
_log = logging.getLogger("barometer")


def take_over(settings: Settings) -> None:
    """See that Spark's folder is that of the working file, and that it lies where it was; else begin anew.

    What Spark's incremental models hold is known from its folder, also after a run that was killed: it is written to
    ``control.watermarks``.
    """
    folder = settings.spark
    with open_duckdb(settings.working_file) as con:
        create_control_schema(con)
        con.execute("create table if not exists control.spark_folder(id varchar)")
        known = con.execute("select id from control.spark_folder").fetchone()
        if known is not None and _read_json(folder / _STATE) == {"id": known[0], "folder": str(folder)}:
            _take_watermarks(con, settings)
            return
        shutil.rmtree(folder, ignore_errors=True)
        settings.spark_tables.mkdir(parents=True)
        folder.chmod(0o700)
        state = {"id": uuid.uuid4().hex, "folder": str(folder)}
        con.execute("begin")
        for table in ("spark_folder", "watermarks", "checked_models", "model_fingerprints", "upstream_state"):
            con.execute(f"delete from control.{table}")
        con.execute("insert into control.spark_folder values (?)", [state["id"]])
        con.execute("commit")
        _write_text(folder / _STATE, json.dumps(state))


def leave(con: duckdb.DuckDBPyConnection) -> None:
    """Say in the working file ``con`` that what it holds of incremental models is its own again, and not Spark's."""
    con.execute("drop table if exists control.spark_folder")


def _take_watermarks(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Write to ``control.watermarks`` what Spark's incremental models hold."""
    files = settings.spark_tables.joinpath(*_WATERMARKS)
    if not any(files.glob("*/*.parquet")):
        return
    con.execute("begin")
    con.execute("delete from control.watermarks")
    con.execute(
        "insert into control.watermarks select model_name, load_id from "
        f"read_parquet({literal(str(files / '*' / '*.parquet'))}, hive_partitioning = true)"
    )
    con.execute("commit")


def hand_over(settings: Settings) -> None:
    """Write what models read, the raw and the control tables of the working file, as Parquet files."""
    with open_duckdb(settings.working_file) as con:
        written = _hand_over(con, settings)
    _log.info("Spark: %s files of loads are new or changed", written)


def _hand_over(con: duckdb.DuckDBPyConnection, settings: Settings) -> int:
    tables = con.execute(
        "select schema_name, table_name from duckdb_tables() "
        "where database_name = current_database() and schema_name in ('raw', 'control')"
    ).fetchall()
    written = 0
    for schema, table in tables:
        folder = settings.spark_tables / schema / table
        if schema == "raw" and table in _BY_LOAD:
            written += _write_loads(con, table, folder)
        elif schema == "raw" or table not in _KEPT_HERE:
            _write_whole(con, f"select * from {identifier(schema)}.{identifier(table)}", folder)
    _write_watermarks(con, settings.spark_tables.joinpath(*_WATERMARKS))
    return written


def _write_loads(con: duckdb.DuckDBPyConnection, table: str, folder: Path) -> int:
    """Write a file for each load whose rows are not those of its file, and none for a load without rows.

    The loader adds rows under a new load_id only and changes none: a load with as many rows has the same.
    """
    source = f"raw.{identifier(table)}"
    wanted = {
        f"load_{load_id}.parquet": (load_id, rows)
        for load_id, rows in con.execute(f"select load_id, count(*) from {source} group by load_id").fetchall()
    }
    folder.mkdir(parents=True, exist_ok=True)
    counts = _read_json(folder / _COUNTS)
    found = {path.name for path in folder.glob("*.parquet")}
    columns = _exported_columns(con, "raw", table)
    changed = [name for name, (_, rows) in wanted.items() if counts.get(name) != rows or name not in found]
    if changed or found - wanted.keys() - {_NONE}:
        # until all of them are written, a count stands for nothing
        (folder / _COUNTS).unlink(missing_ok=True)
    for name in changed:
        _copy(con, f"select {columns} from {source} where load_id = {wanted[name][0]}", folder, name)
    for name in found - wanted.keys() - {_NONE}:
        (folder / name).unlink()
    if _NONE not in found:
        _copy(con, f"select {columns} from {source} limit 0", folder, _NONE)
    _write_text(folder / _COUNTS, json.dumps({name: rows for name, (_, rows) in wanted.items()}))
    return len(changed)


def _write_watermarks(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Make Spark know what models hold: those that are built in full have no watermark."""
    folder.mkdir(parents=True, exist_ok=True)
    held = {f"model_name={name}": load_id for name, load_id in con.execute("from control.watermarks").fetchall()}
    for path in folder.iterdir():
        if path.is_dir() and path.name not in held:
            shutil.rmtree(path)
    for name, load_id in held.items():
        _write_whole(con, f"select cast({load_id} as bigint) as load_id", folder / name)


def _write_whole(con: duckdb.DuckDBPyConnection, query: str, folder: Path) -> None:
    """Make a folder hold the rows of a query, in one file."""
    folder.mkdir(parents=True, exist_ok=True)
    before = list(folder.glob("*.parquet"))
    name = f"{uuid.uuid4().hex}.parquet"
    _copy(con, f"select {exported(con, query)} from ({query})", folder, name)
    for path in before:
        path.unlink()
    for mark in folder.glob(".*.crc"):
        mark.unlink()


def _copy(con: duckdb.DuckDBPyConnection, query: str, folder: Path, name: str) -> None:
    """Write the rows of a query to a file that appears whole."""
    unfinished = folder / _UNFINISHED
    con.execute(f"copy ({query}) to {literal(str(unfinished))} (format parquet)")
    unfinished.replace(folder / name)


def _exported_columns(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> str:
    return exported(con, f"select * from {identifier(schema)}.{identifier(table)}")


def exported(con: duckdb.DuckDBPyConnection, query: str) -> str:
    """Return the select list of a query's columns, with times as times in UTC: Spark knows them by that."""
    described = con.execute(f"describe {query}").fetchall()
    return ", ".join(
        f"{identifier(name)} at time zone 'UTC' as {identifier(name)}" if type_ == "TIMESTAMP" else identifier(name)
        for name, type_, *_ in described
        if name not in LOADERS_OWN
    )


def bring_back(settings: Settings, manifest: Mapping[str, Any], names: Collection[str]) -> None:
    """Make tables of what Spark has built, each in the file that dbt writes it to with DuckDB.

    ``names`` are its models and seeds. Columns get the types of their contract, others those of the Parquet files.
    """
    tables: dict[Path, list[Mapping[str, Any]]] = {settings.build_file: [], settings.working_file: []}
    for node in manifest["nodes"].values():
        if node["name"] in names and node["config"]["materialized"] in ("table", "seed"):
            file = settings.build_file if node["database"] == settings.build_file.stem else settings.working_file
            tables[file].append(node)
    for file, nodes in tables.items():
        with open_duckdb(file) as con:
            for node in nodes:
                _bring_back(con, settings, node)
            if file == settings.working_file:
                _take_watermarks(con, settings)
    # what an incremental model took from: it names users, and the next run makes it anew
    for folder in settings.spark_tables.glob("*/*__new"):
        shutil.rmtree(folder)


def _bring_back(con: duckdb.DuckDBPyConnection, settings: Settings, node: Mapping[str, Any]) -> None:
    schema, name = node["schema"], node["name"]
    files = literal(str(settings.spark_tables / schema / name / "*.parquet"))
    contract = node["columns"].values() if node["config"].get("contract", {}).get("enforced") else ()
    types = {column["name"]: column["data_type"] for column in contract} | node["config"].get("column_types", {})
    required = {column["name"] for column in contract if any(c["type"] == "not_null" for c in column["constraints"])}
    try:
        described = con.execute(f"describe select * from read_parquet({files})").fetchall()
    except duckdb.IOException as error:
        raise BarometerError(
            f"Spark has left no files of {schema}.{name} in {settings.spark}.",
            "Remove that folder and run again: everything is built anew.",
        ) from error
    columns = ", ".join(
        f"{identifier(column)} {types.get(column) or _type_here(type_)}{' not null' if column in required else ''}"
        for column, type_, *_ in described
    )
    table = f"{identifier(schema)}.{identifier(name)}"
    con.execute(f"create schema if not exists {identifier(schema)}")
    con.execute("begin")
    con.execute(f"create or replace table {table} ({columns})")
    con.execute(f"insert into {table} from read_parquet({files})")
    con.execute("commit")


def _type_here(type_: str) -> str:
    """Return the type of a column of a Parquet file, a time without its zone: all are in UTC."""
    return type_.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMP")


def forget(settings: Settings, lists: Iterable[str]) -> None:
    """Remove the files of the lists of touched keys, which may name users who were erased; no model needs them."""
    for name in lists:
        for path in settings.spark_tables.glob(f"*/{name}/*.parquet"):
            path.unlink()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _write_text(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.tmp")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
