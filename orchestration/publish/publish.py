"""Publishes the build: a checked copy that takes the place of the old file in one step."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import identifier, literal
from orchestration.measures.tables import MEASURES
from orchestration.publish.hashing import keyed_hash
from orchestration.report import pipeline_runs, sync_records
from orchestration.settings import Settings
from orchestration.warehouse import build_state
from orchestration.warehouse.build_state import MARTS
from orchestration.warehouse.files import attach_fresh, connect_to_write, fsync, open_duckdb, remove_duckdb
from orchestration.warehouse.project import Described

_PUBLISHED_SCHEMAS = (MARTS, "history", MEASURES)
#: The record of runs: of the moment of publishing, so that it has the load and the build of the same run.
_RUNS = (MARTS, "pipeline_runs")
_NO_KEY = ("user_id_is_address is hash, but there is no key.", "Set BAROMETER_HASH_KEY to a long random secret.")
_LOOKS_LIKE_ADDRESS = r"(@|^\+[0-9]{8,15}$)"


@dataclass(frozen=True)
class Published:
    """What publishing did: rows by table, and whether the same build was there already."""

    rows: dict[str, int]
    is_same: bool


@dataclass(frozen=True)
class PublishedState:
    """The build that the published file holds: its fingerprint, its date, and whether that is final."""

    fingerprint: str | None
    as_of: date | None
    is_final: bool


@dataclass(frozen=True)
class _Content:
    """What must be the same in the copy: columns (name, type) and rows; None: a view that is not counted."""

    columns: tuple[tuple[str, str], ...]
    rows: int | None


def publish(
    build_file: Path,
    published_file: Path,
    as_of: date,
    max_address_like_share: float,
    user_id_is_address: str,
    hash_key: str | None,
    descriptions: Mapping[str, Described],
    is_older_allowed: bool = False,
    runs: Sequence[tuple[Any, ...]] = (),
) -> Published:
    """Copy the build beside the published file, make it readable by itself, check it, and rename it into place.

    ``descriptions`` of the marts are what readers see as comments; ``runs`` takes the place of the record of runs,
    which the build has from before dbt began. Raises BarometerError, and leaves the published file as it was, where the
    build is older than what is published (unless allowed), where user_ids look like addresses, or where the copy is not
    what the build is.
    """
    with open_duckdb(build_file) as con:
        fingerprint = build_state.stored_fingerprint(con)
        if fingerprint is None:
            raise BarometerError("The build is not whole, so it can't be published.", "Run the pipeline again.")
        wanted = _contents(con)
        if _RUNS in wanted:
            wanted[_RUNS] = replace(wanted[_RUNS], rows=len(runs))
        views = _views(con)
        share = _address_like_share(con)
        con.execute("checkpoint")
    if published_file.exists():
        state = published_state(published_file)
        if state.fingerprint == fingerprint:
            return Published(_rows(wanted), is_same=True)
        if state.is_final and state.as_of is not None and state.as_of > as_of and not is_older_allowed:
            raise BarometerError(
                f"{published_file.name} speaks of {state.as_of}, which is later than {as_of}.",
                "An older build never takes its place; ask for a backfill of that date.",
            )
    _refuse_addresses(share, max_address_like_share, user_id_is_address, hash_key)
    temporary = published_file.with_name(f".{published_file.name}.tmp")
    hashed = published_file.with_name(f".{published_file.name}.hashed.tmp")
    try:
        remove_duckdb(temporary)
        remove_duckdb(hashed)
        shutil.copyfile(build_file, temporary)
        _make_fit(temporary, hashed, views, user_id_is_address, hash_key, descriptions)
        if _RUNS in wanted:
            _write_runs(temporary, runs)
        _check(temporary, wanted, as_of)
        _put_in_place(temporary, published_file)
    finally:
        remove_duckdb(temporary)
        remove_duckdb(hashed)
    return Published(_rows(wanted), is_same=False)


def last_sync_published(published_file: Path) -> datetime | None:
    """Return when the last sync began that the published file knows of; None where it knows of none."""
    try:
        with duckdb.connect(str(published_file), read_only=True) as con:
            row = con.execute(f"select max(started_at) from {MARTS}.sync_runs").fetchone()
    except duckdb.Error:
        return None
    return row[0] if row else None


def publish_records(settings: Settings) -> int:
    """Bring the records of runs and of the sync in the published file up to date; return how many rows they have.

    A copy takes the place of the file, as in publishing: readers never wait.
    """
    published = settings.published_file
    temporary = published.with_name(f".{published.name}.tmp")
    is_hashed = settings.policy["user_id_is_address"] == "hash"
    if is_hashed and not settings.hash_key:
        raise BarometerError(*_NO_KEY)
    key = settings.hash_key if is_hashed else None
    try:
        remove_duckdb(temporary)
        shutil.copyfile(published, temporary)
        with connect_to_write(temporary) as con:
            rows = sync_records.write(con, settings.activation_file, MARTS, key, has_runs=True)
            con.execute("checkpoint")
        _put_in_place(temporary, published)
    finally:
        remove_duckdb(temporary)
    return rows


def _put_in_place(temporary: Path, published_file: Path) -> None:
    """Rename a file into the place of the published one, so that either is there at any moment, whole."""
    fsync(temporary)
    # what a tool that did not open it read-only has left beside the old file would be read as part of the new one
    published_file.with_name(f"{published_file.name}.wal").unlink(missing_ok=True)
    temporary.replace(published_file)
    fsync(published_file.parent)


def _write_runs(file: Path, runs: Sequence[tuple[Any, ...]]) -> None:
    """Put the record of runs as it is now in the place of what a file has."""
    table = ".".join(_RUNS)
    with connect_to_write(file) as con:
        con.execute("begin")
        con.execute(f"delete from {table}")
        pipeline_runs.insert_rows(con, table, pipeline_runs.COLUMNS, runs)
        con.execute("commit")


def seal(build_file: Path, settings: Settings, descriptions: Mapping[str, Described]) -> None:
    """Make a build that is not published fit to be opened by itself, in place: the rules of publishing hold for it too.

    Raises BarometerError where user_ids look like addresses.
    """
    refuse_addresses(build_file, settings)
    with open_duckdb(build_file, read_only=True) as con:
        views = _views(con)
    mode = settings.policy["user_id_is_address"]
    hashed = build_file.with_name(f".{build_file.name}.hashed.tmp")
    try:
        remove_duckdb(hashed)
        _make_fit(build_file, hashed, views, mode, settings.hash_key, descriptions)
    finally:
        remove_duckdb(hashed)


def refuse_addresses(build_file: Path, settings: Settings) -> None:
    """Raise BarometerError where the user_ids of a build look like addresses and are not to be hashed, or can't be."""
    with open_duckdb(build_file, read_only=True) as con:
        share = _address_like_share(con)
    policy = settings.policy
    _refuse_addresses(share, policy["max_address_like_share"], policy["user_id_is_address"], settings.hash_key)


def _make_fit(
    file: Path,
    hashed: Path,
    views: dict[str, str],
    mode: str,
    hash_key: str | None,
    descriptions: Mapping[str, Described],
) -> None:
    """Make a file readable by itself, with hashed user_ids if they are to be; ``hashed`` is where they are written."""
    _make_readable(file, views)
    if mode == "hash" and hash_key:
        _hash_user_ids(file, hashed, hash_key)
        hashed.replace(file)
    _write_comments(file, descriptions)


def _refuse_addresses(share: float, max_share: float, mode: str, hash_key: str | None) -> None:
    """Raise BarometerError where user_ids look like addresses and are not to be hashed, or can't be."""
    if share > max_share and mode != "hash":
        raise BarometerError(
            f"{share:.1%} of the user_ids look like an e-mail address or a phone number; nothing was published.",
            "Send opaque user_ids, or set the var user_id_is_address to hash (and BAROMETER_HASH_KEY).",
        )
    if mode == "hash" and not hash_key:
        raise BarometerError(*_NO_KEY)


def _contents(con: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], _Content]:
    """Return the columns and the number of rows of each published table and view, by schema and name.

    Views of the history are not counted: that takes longer with every date, and follows from the tables that are.
    """
    columns: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for schema, table, column, type_ in con.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns() "
        "where list_contains(?, schema_name) and database_name = current_database() order by 1, 2, column_index",
        [list(_PUBLISHED_SCHEMAS)],
    ).fetchall():
        columns.setdefault((schema, table), []).append((column, type_))
    uncounted = {(MARTS, name) for name, sql in _views(con).items() if re.search(r"\bhistory\.", sql)}

    def rows(schema: str, table: str) -> int | None:
        if (schema, table) in uncounted:
            return None
        return con.execute(f'select count(*) from "{schema}"."{table}"').fetchall()[0][0]

    return {key: _Content(tuple(of_table), rows(*key)) for key, of_table in columns.items()}


def _rows(contents: dict[tuple[str, str], _Content]) -> dict[str, int]:
    """Return the rows of the marts that are counted, by name."""
    return {
        table: content.rows
        for (schema, table), content in contents.items()
        if schema == MARTS and content.rows is not None
    }


def _views(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return the SQL of each view of the marts, with names that hold in any file.

    dbt writes three-part names, which break in a copy; DuckDB's own parser takes the database out of them.
    """
    found = con.execute(
        "select view_name, sql from duckdb_views() where schema_name = ? and not internal order by 1", [MARTS]
    ).fetchall()
    return {name: _without_database(con, _body(sql)) for name, sql in found}


def _body(create_view: str) -> str:
    return re.split(r"\bAS\b", create_view, maxsplit=1, flags=re.IGNORECASE)[1].strip().rstrip(";")


def _without_database(con: duckdb.DuckDBPyConnection, query: str) -> str:
    def strip(node: object) -> object:
        if isinstance(node, dict):
            return {key: "" if key == "catalog_name" else strip(value) for key, value in node.items()}
        return [strip(item) for item in node] if isinstance(node, list) else node

    row = con.execute("select json_serialize_sql(?)", [query]).fetchone()
    tree = strip(json.loads(row[0] if row else "{}"))
    row = con.execute("select json_deserialize_sql(?::json)", [json.dumps(tree)]).fetchone()
    return str(row[0] if row else "")


def _address_like_share(con: duckdb.DuckDBPyConnection) -> float:
    row = con.execute(
        f"select coalesce(avg(case when regexp_matches(user_id, '{_LOOKS_LIKE_ADDRESS}') then 1.0 else 0.0 end), 0) "
        f"from {MARTS}.user_360"
    ).fetchone()
    return float(row[0]) if row else 0.0


def published_dates(published_file: Path) -> set[date]:
    """Return the dates with a final build that the published file knows; none while it is not there."""
    try:
        with duckdb.connect(str(published_file), read_only=True) as con:
            return build_state.final_dates(con)
    except duckdb.Error:
        return set()


def published_state(published_file: Path) -> PublishedState:
    """Return what the published file speaks of; one that is not there or can't be read speaks of nothing."""
    try:
        with duckdb.connect(str(published_file), read_only=True) as con:
            built = build_state.built_date(con)
            return PublishedState(build_state.stored_fingerprint(con), built.as_of, built.is_final)
    except duckdb.Error:
        return PublishedState(None, None, False)


def _make_readable(file: Path, views: dict[str, str]) -> None:
    """Drop what is not published and write the views with names that hold in this file."""
    with connect_to_write(file) as con:
        schemas = con.execute(
            "select distinct schema_name from duckdb_schemas() where not internal and schema_name <> 'main'"
        ).fetchall()
        for name in views:
            con.execute(f'drop view if exists "{MARTS}"."{name}"')
        for (schema,) in schemas:
            if schema not in _PUBLISHED_SCHEMAS:
                con.execute(f'drop schema "{schema}" cascade')
        for name, sql in views.items():
            con.execute(f'create view "{MARTS}"."{name}" as {sql}')


def _write_comments(file: Path, descriptions: Mapping[str, Described]) -> None:
    """Say of every mart and column what it is, where BI tools look for it."""
    with connect_to_write(file) as con:
        views = set(_views(con))
        # an intraday build has plan tables of the night, which an upgrade since may describe otherwise
        found = con.execute(
            "select table_name, list(column_name) from duckdb_columns() "
            "where schema_name = ? and database_name = current_database() group by all",
            [MARTS],
        ).fetchall()
        statements = []
        for table, columns in found:
            if table in descriptions:
                name, described = f"{MARTS}.{identifier(table)}", descriptions[table]
                kind = "view" if table in views else "table"
                statements.append(f"comment on {kind} {name} is {literal(described.text)}")
                statements += [
                    f"comment on column {name}.{identifier(column)} is {literal(described.columns[column])}"
                    for column in sorted(described.columns.keys() & set(columns))
                ]
        con.execute("; ".join(["begin", *statements, "commit"]))


def _hash_user_ids(file: Path, fresh: Path, hash_key: str) -> None:
    """Put a keyed hash in the place of every user_id, and write all to a fresh file that never held the ids."""

    def keyed(user_id: str) -> str:
        return keyed_hash(user_id, hash_key)

    with connect_to_write(file) as con:
        con.create_function("keyed_hash", keyed, ["VARCHAR"], "VARCHAR")
        tables = con.execute(
            "select distinct c.schema_name, c.table_name from duckdb_columns() as c "
            "inner join duckdb_tables() as t using (schema_name, table_name) where c.column_name = 'user_id'"
        ).fetchall()
        # each id once: a history has many rows of everybody
        users = " union ".join(f'select user_id from "{schema}"."{table}"' for schema, table in tables)
        con.execute(
            f"create temp table hashed_users as select user_id, keyed_hash(user_id) as hashed "
            f"from ({users}) where user_id is not null"
        )
        for schema, table in tables:
            con.execute(
                f'update "{schema}"."{table}" as target set user_id = hashed_users.hashed '
                "from hashed_users where target.user_id = hashed_users.user_id"
            )
        # an update leaves the old values in free blocks: copy into a new file
        row = con.execute("select current_database()").fetchone()
        attach_fresh(con, fresh)
        con.execute(f'copy from database "{row[0] if row else ""}" to fresh')


def _check(file: Path, wanted: dict[tuple[str, str], _Content], as_of: date) -> None:
    """Open the copy as a reader would and compare it with the build."""
    with duckdb.connect(str(file), read_only=True) as con:
        found = _contents(con)
        if found != wanted:
            different = sorted(key[1] for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key))
            raise BarometerError(
                f"The copy differs from the build in: {', '.join(different)}.",
                "Run again; if it stays, see that the disk is sound and has room.",
            )
        row = con.execute(f"select as_of from {MARTS}.build_info").fetchone()
        if row is None or row[0] != as_of:
            raise BarometerError(f"The build speaks of {row and row[0]}, not of {as_of}.", "Run the pipeline again.")
