"""SQL that reads one prepared file as numbered rows, with the columns as they came."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.landing.contract import PROTECTIVE, Dataset
from orchestration.landing.files import (
    UnreadableFile,
    column_name,
    detect_dialect,
    read_head,
    recode,
)
from orchestration.landing.quoting import identifier, literal
from orchestration.landing.typing_sql import SourceColumn

_REJECTS, _SCANS = "landing_malformed", "landing_scans"
_LINES = "landing_lines"
_TOO_LONG = "LINE SIZE OVER MAXIMUM"
#: DuckDB's own limits; a file with longer lines is read again with larger ones.
_LINE_BYTES, _BUFFER_BYTES = 2_000_000, 32_000_000


@dataclass(frozen=True)
class Source:
    """One file as a relation.

    ``sql`` has the file's columns, ``row_number`` and ``content`` and holds well-formed rows;
    ``malformed`` is a relation of (row_number, content), or None where there is none.
    """

    sql: str
    columns: dict[str, SourceColumn] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    rows: int = 0
    malformed: str | None = None
    malformed_rows: int = 0


def no_rows() -> Source:
    """Return the relation of an empty file."""
    return Source("(select 0 as row_number, null::varchar as content where false)")


def read(con: duckdb.DuckDBPyConnection, path: Path, format_: str, dataset: Dataset, scratch: Path) -> Source:
    """Read one prepared file; raises UnreadableFile or a DuckDB error where it can't be read."""
    drop_stage(con)
    if format_ == "parquet":
        return _read_parquet(con, path, dataset)
    if path.stat().st_size == 0:
        if dataset.name in PROTECTIVE:
            raise UnreadableFile("empty_file", "the file is empty, which is what an upload that failed leaves")
        return no_rows()
    reader = _read_csv if format_ == "csv" else _read_json
    try:
        return reader(con, path, dataset)
    except _NotUtf8:
        recoded = scratch / "latin1"
        recode(path, recoded, "latin-1")
        return reader(con, recoded, dataset)


def drop_stage(con: duckdb.DuckDBPyConnection) -> None:
    """Drop the temporary tables that a text file is read into."""
    for table in (_LINES, _REJECTS, _SCANS):
        con.execute(f"drop table if exists temp.{table}")


class MixedLineEndsError(Exception):
    """A CSV file ends its lines in more than one way; the transaction is over."""


class _NotUtf8(Exception):
    """A text file holds bytes that are not UTF-8."""


def _assign(names: list[str], dataset: Dataset) -> tuple[dict[str, int], list[str]]:
    """Match a file's column names with the contract: position by column, and the names left out."""
    positions: dict[str, int] = {}
    unknown: list[str] = []
    exact = {name: position for position, name in reversed(list(enumerate(names)))}
    for position, name in enumerate(names):
        column = column_name(name)
        if column in dataset.column_names and column not in positions and exact.get(column, position) == position:
            positions[column] = position
        else:
            unknown.append(name)
    return positions, unknown


def _require_known(positions: dict[str, int], names: list[str], dataset: Dataset) -> None:
    if not positions:
        raise UnreadableFile(
            "no_known_columns",
            f"{dataset.name} has none of the columns {', '.join(names)[:500] or '(no name)'}",
        )


def _content(columns: list[tuple[str, str]]) -> str:
    return "json_object(" + ", ".join(f"{literal(name)}, ({sql})::varchar" for name, sql in columns) + ")::varchar"


def _read_parquet(con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset) -> Source:
    options = "file_row_number=true, hive_partitioning=false, binary_as_string=true"
    scan = f"read_parquet({literal(str(path))}, {options})"
    described = [(row[0], row[1]) for row in con.execute(f"describe select * from {scan}").fetchall()]
    described = [(name, type_) for name, type_ in described if name != "file_row_number"]
    names = [name for name, _ in described]
    positions, unknown = _assign(names, dataset)
    _require_known(positions, names, dataset)
    columns = {}
    for column, position in positions.items():
        name, type_ = described[position]
        columns[column] = SourceColumn(f"src.{identifier(name)}", type_)
    content = _content([(name, f"f.{identifier(name)}") for name in names])
    renamed = ", ".join(f"f.{identifier(name)}" for name in names)
    (rows,) = con.execute(f"select count(*) from {scan}").fetchone() or (0,)
    return Source(
        sql=f"(select {renamed}, f.file_row_number + 1 as row_number, {content} as content from {scan} f)",
        columns=columns,
        unknown=tuple(unknown),
        rows=rows,
    )


def _scan_csv(con: duckdb.DuckDBPyConnection, path: Path, options: str, select: str = "*", condition: str = "") -> None:
    """Read a text file into the stage table, with malformed lines beside it."""

    def attempt(line_bytes: int, buffer_bytes: int) -> None:
        drop_stage(con)
        con.execute(
            f"""create temp table {_LINES} as select {select} from read_csv({literal(str(path))},
                auto_detect=false, hive_partitioning=false, compression='none',
                max_line_size={line_bytes}, buffer_size={buffer_bytes},
                store_rejects=true, rejects_table='{_REJECTS}', rejects_scan='{_SCANS}', rejects_limit=0,
                {options}) {condition}"""
        )

    try:
        attempt(_LINE_BYTES, _BUFFER_BYTES)
    except duckdb.InvalidInputException as error:
        # Lines that end now with CR LF, now with LF.
        if "invalid state" not in str(error):
            raise
        raise MixedLineEndsError from error
    types = {row[0] for row in con.execute(f"select distinct error_type::varchar from temp.{_REJECTS}").fetchall()}
    if _TOO_LONG in types:
        whole = max(path.stat().st_size + 1, _BUFFER_BYTES)
        attempt(whole, whole)
        types = {row[0] for row in con.execute(f"select distinct error_type::varchar from temp.{_REJECTS}").fetchall()}
    if "INVALID ENCODING" in types:
        raise _NotUtf8


def _count(con: duckdb.DuckDBPyConnection, relation: str) -> int:
    (count,) = con.execute(f"select count(*) from {relation}").fetchone() or (0,)
    return int(count)


def _first_rowid(con: duckdb.DuckDBPyConnection) -> int:
    (first,) = con.execute(f"select coalesce(min(rowid), 0) from temp.{_LINES}").fetchone() or (0,)
    return int(first)


def _read_csv(con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset) -> Source:
    dialect = detect_dialect(read_head(path), frozenset(dataset.column_names))
    if dialect is None:
        return no_rows()
    positions, unknown = _assign(list(dialect.header), dataset)
    _require_known(positions, list(dialect.header), dataset)
    columns = ", ".join(f"'c{position}': 'VARCHAR'" for position in range(len(dialect.header)))
    options = (
        f"header=true, skip={dialect.skip}, delim={literal(dialect.delimiter)}, quote='\"', escape='\"', "
        f"columns={{{columns}}}"
    )
    _scan_csv(con, path, options)
    malformed = f"""(select line - 1 - {dialect.skip} as row_number, any_value(csv_line) as content
        from temp.{_REJECTS} where trim(csv_line, e' \\t\\r\\n') <> '' group by line)"""
    malformed_rows = _count(con, malformed)
    rows = _count(con, f"temp.{_LINES}")
    position = f"(l.rowid - {_first_rowid(con)} + 1)"
    content = _content([(name, f"l.c{position}") for position, name in enumerate(dialect.header)])
    own = ", ".join(f"l.c{position}" for position in range(len(dialect.header)))
    if malformed_rows:
        # The k-th good row has as many malformed ones before it as have fewer than k good rows before them.
        sql = f"""(select {own}, {position} + coalesce(m.before, 0) as row_number, {content} as content
            from temp.{_LINES} l asof left join (
                select max(place) as before, row_number - place as good_rows from (
                    select row_number, row_number() over (order by row_number) as place from {malformed}
                ) group by all
            ) m on {position} > m.good_rows)"""
    else:
        sql = f"(select {own}, {position} as row_number, {content} as content from temp.{_LINES} l)"
    return Source(
        sql=sql,
        columns={name: SourceColumn(f"src.c{position}") for name, position in positions.items()},
        unknown=tuple(unknown),
        rows=rows + malformed_rows,
        malformed=malformed if malformed_rows else None,
        malformed_rows=malformed_rows,
    )


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _read_json(con: duckdb.DuckDBPyConnection, path: Path, dataset: Dataset) -> Source:
    # Valid JSON never holds U+001F as it is, so that a line is one column.
    options = "header=false, strict_mode=false, delim=e'\\x1f', quote='', escape='', columns={'line': 'VARCHAR'}"
    is_object = "case when json_valid(line) then json_type(line) end is not distinct from 'OBJECT'"
    not_blank = "where trim(line, e' \\t\\r\\n') <> ''"
    _scan_csv(con, path, options, f"line, {is_object} as is_object", not_blank)
    keys = [
        row[0]
        for row in con.execute(
            f"""select key from (select unnest(case when is_object then json_keys(line) end) as key
            from temp.{_LINES}) group by key order by key"""
        ).fetchall()
    ]
    rows = _count(con, f"temp.{_LINES}")
    number = f"rowid - {_first_rowid(con)} + 1 as row_number"
    malformed = f"(select {number}, line as content from temp.{_LINES} where not is_object)"
    malformed_rows = _count(con, malformed)
    positions, unknown = _assign(keys, dataset)
    if rows > malformed_rows:
        _require_known(positions, keys, dataset)
    paths = ", ".join(literal(_pointer(keys[position])) for position in positions.values()) or "'/'"
    return Source(
        sql=f"""(select {number}, line as content,
            case when is_object then json_extract_string(line, [{paths}]) end as v
            from temp.{_LINES} where is_object)""",
        columns={name: SourceColumn(f"src.v[{place}]") for place, name in enumerate(positions, start=1)},
        unknown=tuple(unknown),
        rows=rows,
        malformed=malformed if malformed_rows else None,
        malformed_rows=malformed_rows,
    )
