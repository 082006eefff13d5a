"""Looks for personal data in DuckDB files: in every text and date of every table, and in the bytes of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import numpy as np

#: Where landing files hold what is never published, by what it is called here: dataset and column.
_LANDED = {
    "email": ("users", "email"),
    "phone": ("users", "phone"),
    "first_name": ("users", "first_name"),
    "last_name": ("users", "last_name"),
    "birth_date": ("users", "birth_date"),
    "address": ("addresses", "address"),
    "link_url": ("message_events", "link_url"),
    "properties": ("events", "properties"),
}
_READERS = {".parquet": "read_parquet(?)", ".csv": "read_csv(?, all_varchar = true)", ".jsonl": "read_json(?)"}
_PREFIX = 8


def personal_values(landing: Path, working_file: Path) -> dict[str, set[str]]:
    """Return what landed and must not be published, by kind; ``content`` is that of the rejected rows.

    Properties and content are whole objects here: the words in them are others' too.
    """
    found: dict[str, set[str]] = {kind: set() for kind in _LANDED}
    with duckdb.connect() as con:
        con.execute("set TimeZone = 'UTC'")
        for kind, (dataset, column) in _LANDED.items():
            for path in (path for path in (landing / dataset).rglob("*") if path.is_file()):
                reader = next(text for suffix, text in _READERS.items() if suffix in path.suffixes)
                if kind == "properties" and ".jsonl" in path.suffixes:
                    continue
                # a file of the sample without that column, or broken on purpose
                with suppress(duckdb.Error):
                    query = f"select distinct trim(cast({column} as varchar)) from {reader} where {column} is not null"
                    found[kind] |= {value for (value,) in con.execute(query, [str(path)]).fetchall() if value}
    found["properties"] = {_canonical(text) for text in found["properties"]}
    with duckdb.connect(str(working_file), read_only=True) as con:
        rows = con.execute("select distinct content from raw.rejected_rows where content is not null").fetchall()
    return found | {"content": {_canonical(text) for (text,) in rows}}


def words_of(file: Path, schemas: Collection[str] | None = None) -> set[str]:
    """Return every text and date of every table, and the words of texts; of some ``schemas`` or of all."""
    found: set[str] = set()
    for text in _texts(file, schemas):
        found |= {text, _canonical(text), *re.split(r"[\s|,;\"'<>()]+", text)}
    return found


def bytes_found(file: Path, wanted: Collection[str]) -> set[str]:
    """Return those values of eight bytes and more that the file holds as they are. Compressed tables hide some."""
    content = file.read_bytes()
    by_prefix: dict[int, list[bytes]] = {}
    for value in (text.encode() for text in wanted):
        if len(value) >= _PREFIX:
            by_prefix.setdefault(int.from_bytes(value[:_PREFIX], "little"), []).append(value)

    def places(words: np.ndarray) -> np.ndarray:
        """Where words of eight bytes are in a small table, so that nearly all are ruled out at once."""
        return (words * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(44)

    table = np.zeros(1 << 20, dtype=bool)
    table[places(np.array(sorted(by_prefix), dtype=np.uint64))] = True
    found: set[str] = set()
    for shift in range(_PREFIX):
        words = np.frombuffer(content, "<u8", count=(len(content) - shift) // _PREFIX, offset=shift)
        for index in np.flatnonzero(table[places(words)]):
            place = int(index) * _PREFIX + shift
            candidates = by_prefix.get(int(words[index]), [])
            found |= {value.decode() for value in candidates if content.startswith(value, place)}
    return found


def _texts(file: Path, schemas: Collection[str] | None) -> Iterator[str]:
    """Yield the distinct texts and dates of every column of every table."""
    with duckdb.connect(str(file), read_only=True) as con:
        columns = con.execute(
            "select c.schema_name, c.table_name, c.column_name from duckdb_columns() as c "
            "inner join duckdb_tables() as t using (database_name, schema_name, table_name) "
            "where c.database_name = current_database() and regexp_matches(c.data_type, 'VARCHAR|JSON|DATE|TIMESTAMP')"
        ).fetchall()
        for schema, table, column in columns:
            if schemas is None or schema in schemas:
                rows = con.execute(f'select distinct cast("{column}" as varchar) from "{schema}"."{table}"').fetchall()
                yield from (text for (text,) in rows if text is not None)


def _canonical(text: str) -> str:
    """Return a JSON object in one way of writing it, any other text as it is."""
    if not text.startswith("{"):
        return text
    try:
        return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    except ValueError:
        return text
