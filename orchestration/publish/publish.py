"""Publishes the build: a checked copy that takes the place of the old file in one step."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.warehouse import build_state
from orchestration.warehouse.files import open_duckdb

MARTS = "marts"
_PUBLISHED_SCHEMAS = (MARTS, "history")
_LOOKS_LIKE_ADDRESS = r"(@|^\+[0-9]{8,15}$)"


@dataclass(frozen=True)
class Published:
    """What publishing did: rows by table, and whether the same build was there already."""

    rows: dict[str, int]
    is_same: bool


def publish(
    build_file: Path,
    published_file: Path,
    as_of: date,
    max_address_like_share: float,
    user_id_is_address: str,
    hash_key: str | None,
    is_older_allowed: bool = False,
) -> Published:
    """Copy the build beside the published file, make it readable by itself, check it, and rename it into place.

    Raises BarometerError, and leaves the published file as it was, where the build is older than what is published
    (unless allowed), where user_ids look like addresses, or where the copy is not what the build is.
    """
    with open_duckdb(build_file) as con:
        fingerprint = build_state.stored_fingerprint(con)
        if fingerprint is None:
            raise BarometerError("The build is not whole, so it can't be published.", "Run the pipeline again.")
        wanted = _tables(con)
        views = _views(con)
        share = _address_like_share(con)
        con.execute("checkpoint")
    if published_file.exists():
        state, published_as_of, is_final = _state_of(published_file)
        if state == fingerprint:
            return Published(wanted, is_same=True)
        if is_final and published_as_of is not None and published_as_of > as_of and not is_older_allowed:
            raise BarometerError(
                f"{published_file.name} speaks of {published_as_of}, which is later than {as_of}.",
                "An older build never takes its place; ask for a backfill of that date.",
            )
    if share > max_address_like_share and user_id_is_address != "hash":
        raise BarometerError(
            f"{share:.1%} of the user_ids look like an e-mail address or a phone number; nothing was published.",
            "Send opaque user_ids, or set the var user_id_is_address to hash (and BAROMETER_HASH_KEY).",
        )
    temporary = published_file.with_name(f".{published_file.name}.tmp")
    _remove(temporary)
    shutil.copyfile(build_file, temporary)
    _make_readable(temporary, views)
    if user_id_is_address == "hash":
        _hash_user_ids(temporary, hash_key)
    _check(temporary, wanted, as_of)
    _fsync(temporary)
    temporary.replace(published_file)
    _fsync(published_file.parent)
    return Published(wanted, is_same=False)


def _tables(con: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Return the rows of each table of the marts."""
    names = con.execute("select table_name from duckdb_tables() where schema_name = ? order by 1", [MARTS]).fetchall()
    return {name: con.execute(f'select count(*) from "{MARTS}"."{name}"').fetchone()[0] for (name,) in names}  # type: ignore[index]


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


def _state_of(published_file: Path) -> tuple[str | None, date | None, bool]:
    """Return fingerprint, date and finality of the published file; a file that can't be read counts as none."""
    try:
        with duckdb.connect(str(published_file), read_only=True) as con:
            row = con.execute(f"select as_of, is_final from {MARTS}.build_info").fetchone()
            return build_state.stored_fingerprint(con), *(row or (None, False))
    except duckdb.Error:
        return None, None, False


def _make_readable(file: Path, views: dict[str, str]) -> None:
    """Drop what is not published and write the views with names that hold in this file."""
    with duckdb.connect(str(file)) as con:
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


def _hash_user_ids(file: Path, hash_key: str | None) -> None:
    """Put a keyed hash in the place of every user_id, in a file that never held the ids."""
    if not hash_key:
        raise BarometerError(
            "user_id_is_address is hash, but there is no key.", "Set BAROMETER_HASH_KEY to a long random secret."
        )
    key = hash_key.encode()

    def keyed(user_id: str) -> str:
        return hmac.new(key, user_id.encode(), hashlib.sha256).hexdigest()

    fresh = file.with_name(f"{file.name}.hashed")
    _remove(fresh)
    with duckdb.connect(str(file)) as con:
        con.create_function("keyed_hash", keyed, ["VARCHAR"], "VARCHAR")
        tables = con.execute(
            "select distinct c.schema_name, c.table_name from duckdb_columns() as c "
            "inner join duckdb_tables() as t using (schema_name, table_name) where c.column_name = 'user_id'"
        ).fetchall()
        for schema, table in tables:
            con.execute(
                f'update "{schema}"."{table}" as target set user_id = keyed_hash(target.user_id) '
                "where target.user_id is not null"
            )
        # an update leaves the old values in free blocks: copy into a new file
        row = con.execute("select current_database()").fetchone()
        con.execute(f"attach '{str(fresh).replace(chr(39), chr(39) * 2)}' as fresh")
        con.execute(f'copy from database "{row[0] if row else ""}" to fresh')
    fresh.replace(file)


def _check(file: Path, wanted: dict[str, int], as_of: date) -> None:
    """Open the copy as a reader would and compare it with the build."""
    with duckdb.connect(str(file), read_only=True) as con:
        found = _tables(con)
        if found != wanted:
            raise BarometerError(
                f"The copy differs from the build: {sorted(set(found.items()) ^ set(wanted.items()))}.",
                "Run again; if it stays, see that the disk is sound and has room.",
            )
        for (view,) in con.execute(
            "select view_name from duckdb_views() where schema_name = ? and not internal", [MARTS]
        ).fetchall():
            con.execute(f'select * from "{MARTS}"."{view}" limit 1').fetchall()
        row = con.execute(f"select as_of from {MARTS}.build_info").fetchone()
        if row is None or row[0] != as_of:
            raise BarometerError(f"The build speaks of {row and row[0]}, not of {as_of}.", "Run the pipeline again.")


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(file: Path) -> None:
    """Remove a DuckDB file that an earlier run left half-made, with its write-ahead log."""
    file.unlink(missing_ok=True)
    file.with_name(f"{file.name}.wal").unlink(missing_ok=True)
