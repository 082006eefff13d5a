"""SQL that gives a file's columns the contract's types, judges each row and writes it in canonical form.

Every expression is total: a value that can't be read becomes null, and no cast raises.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from orchestration.landing.contract import DUCKDB_TYPES, Column, Dataset
from orchestration.landing.quoting import identifier, literal, literals

_WHITESPACE = "(e' \\t\\n\\r\\f' || chr(11))"  # DuckDB reads e'\\v' as the letter v
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?"
_DATE = r"\d{4}-\d{2}-\d{2}"
_UTC_TIME = _DATE + r"[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?Z?"
_TIME = _DATE + r"[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?"
_NO_SECONDS = r"^(.{16})(Z|[+-].*)?$"
#: Every number is below 1e10 either way, so that no sum overflows the marts' DECIMAL(18,2).
_NUMBER_RANGE = "decimal(16,6)"
_FIRST_DAY, _LAST_DAY = "date '0001-01-01'", "date '9999-12-31'"

#: Name of the function, registered by the loader, that writes JSON compactly with sorted keys.
COMPACT_JSON = "raw_compact_json"


@dataclass(frozen=True)
class TypingRules:
    """What the types depend on beside the contract."""

    time_zone: str
    min_event_date: date
    channels: frozenset[str]
    consent_statuses: Mapping[str, str]

    def first_instant(self) -> str:
        """Return the first moment, in UTC, of ``min_event_date`` in the business time zone, as SQL."""
        start = datetime.combine(self.min_event_date, time(), ZoneInfo(self.time_zone)).astimezone(UTC)
        return f"timestamp '{start:%Y-%m-%d %H:%M:%S}'"

    def choices(self, column: Column) -> dict[str, str]:
        """Return what a choice column accepts: lower-case text to the value that is stored."""
        if column.choices == ("seed:channels",):
            return {channel.lower(): channel.lower() for channel in sorted(self.channels)}
        if column.choices == ("seed:consent_statuses",):
            own = {"granted": "granted", "withdrawn": "withdrawn"}
            return own | {name.lower(): status for name, status in sorted(self.consent_statuses.items())}
        return {choice: choice for choice in column.choices}


@dataclass(frozen=True)
class SourceColumn:
    """A column of a file: the SQL that reads it and its DuckDB type."""

    sql: str
    type: str = "VARCHAR"
    #: Whether the value is trimmed text already, and null where it is empty.
    clean: bool = False

    @property
    def is_list(self) -> bool:
        """Tell whether the value is a list of values."""
        return self.type.endswith("]")

    @property
    def is_nested(self) -> bool:
        """Tell whether the value has a structure of its own."""
        return self.is_list or self.type.startswith(("STRUCT", "MAP", "UNION"))

    @property
    def text(self) -> str:
        """The value as text, trimmed; null where it is empty."""
        if self.clean:
            return self.sql
        if self.is_nested:
            return f"to_json({self.sql})::varchar"
        if self.type != "VARCHAR":
            return _trimmed(f"({self.sql})::varchar")
        return _trimmed(self.sql)


def _trimmed(sql: str) -> str:
    # trim() with a list of characters costs five times as much as looking at both ends first.
    has_blank_end = f"{sql} < '!' or ({sql})[-1] < '!'"
    return f"case when {has_blank_end} then nullif(trim({sql}, {_WHITESPACE}), '') else {sql} end"


def _date_start(sql: str, time_zone: str) -> str:
    """SQL for midnight, in UTC, of a date in the business time zone."""
    start = f"({sql})::timestamp"
    return start if time_zone == "UTC" else f"timezone('UTC', timezone({literal(time_zone)}, {start}))"


def _timestamp_of_text(text: str, time_zone: str) -> str:
    day = _date_start(f"try_cast({text} as date)", time_zone)
    with_seconds = f"regexp_replace({text}, {literal(_NO_SECONDS)}, '\\1:00\\2')"
    return f"""case
        when {text} is null or {text} < '0001' then null
        when regexp_full_match({text}, {literal(_UTC_TIME)}) then try_cast({text} as timestamp)
        when regexp_full_match({text}, {literal(_DATE)}) then {day}
        when regexp_full_match({text}, {literal(_TIME)})
            then timezone('UTC', try_cast({with_seconds} as timestamptz))
        end"""


def _timestamp(source: SourceColumn, time_zone: str) -> str:
    if source.type == "DATE":
        start = _date_start(source.sql, time_zone)
        return f"case when {source.sql} between {_FIRST_DAY} and {_LAST_DAY} then {start} end"
    if source.type.startswith("TIMESTAMP"):
        moment = f"timezone('UTC', {source.sql})" if source.type.endswith("ZONE") else source.sql
        if source.type not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
            moment = f"try_cast({moment} as timestamp)"
        return (
            f"case when {moment} >= timestamp '0001-01-01' "
            f"and {moment} < timestamp '9999-12-31 23:59:59.999999' then {moment} end"
        )
    return _timestamp_of_text(source.text, time_zone)


def _date(source: SourceColumn, time_zone: str) -> str:
    if source.type == "DATE":
        return f"case when {source.sql} between {_FIRST_DAY} and {_LAST_DAY} then {source.sql} end"
    if source.type.startswith("TIMESTAMP"):
        return f"({_timestamp(source, 'UTC')})::date"
    text = source.text
    moment = _timestamp_of_text(text, "UTC")
    return f"case when ({moment}) is not null then try_cast(left({text}, 10) as date) end"


_INTEGER_TYPES = frozenset(
    (
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "BIGINT",
        "HUGEINT",
        "UTINYINT",
        "USMALLINT",
        "UINTEGER",
        "UBIGINT",
        "UHUGEINT",
    )
)


def _number(source: SourceColumn, type_: str) -> str:
    if source.type in _INTEGER_TYPES or source.type.startswith("DECIMAL") or source.type in ("DOUBLE", "FLOAT"):
        return f"try_cast({source.sql} as {type_})"
    text = source.text
    return f"case when regexp_full_match({text}, {literal(_NUMBER)}) then try_cast({text} as {type_}) end"


def _integer(source: SourceColumn) -> str:
    if source.type in _INTEGER_TYPES:
        return f"try_cast({source.sql} as bigint)"
    number = _number(source, "decimal(38,6)")
    return f"case when {number} = trunc({number}) then try_cast({number} as bigint) end"


def _boolean(source: SourceColumn) -> str:
    if source.type == "BOOLEAN":
        return source.sql
    return (
        f"case when lower({source.text}) in ('true', 't', 'yes', '1') then true "
        f"when lower({source.text}) in ('false', 'f', 'no', '0') then false end"
    )


def _list(source: SourceColumn) -> str:
    def cleaned(values: str) -> str:
        return f"list_filter(list_transform({values}, lambda v: {_trimmed('v')}), lambda v: v is not null)"

    if source.is_list:
        return cleaned(f"({source.sql})::varchar[]")
    text = source.text
    is_array = f"case when json_valid({text}) then json_type({text}) end = 'ARRAY'"
    return f"""case
        when {text} is null then null
        when not starts_with({text}, '[') then {cleaned(f"string_split({text}, '|')")}
        when {is_array} then {cleaned(f"json_extract_string({text}, '$[*]')")}
        end"""


def _json(source: SourceColumn) -> str:
    text = source.text
    return text if source.is_nested else f"case when json_valid({text}) then {text} end"


def cleaned(column: Column, source: SourceColumn) -> tuple[str, SourceColumn]:
    """Return SQL that prepares a file's value once, and how to read what it gives under ``raw_<column>``.

    Text is trimmed here, so that the expressions on it stay short; planning them costs more than a
    small file.
    """
    name = f"raw_{column.name}"
    if source.type == "VARCHAR" or column.type in ("id", "text", "choice"):
        return f"{source.text} as {name}", SourceColumn(name, clean=True)
    return f"{source.sql} as {name}", SourceColumn(name, source.type)


def typed(column: Column, source: SourceColumn | None, rules: TypingRules) -> str:
    """Return SQL for a column's value in the contract's type, null where it is missing or can't be read."""
    type_ = DUCKDB_TYPES[column.type]
    if source is None:
        return f"null::{type_}"
    match column.type:
        case "timestamp":
            return _timestamp(source, rules.time_zone)
        case "date":
            return _date(source, rules.time_zone)
        case "number":
            return f"({_number(source, _NUMBER_RANGE)})::{type_}"
        case "integer":
            return _integer(source)
        case "boolean":
            return _boolean(source)
        case "list":
            return _list(source)
        case "json":
            return _json(source)
        case "choice":
            text = f"lower({source.text})"
            accepted = rules.choices(column)
            same = [name for name, value in accepted.items() if name == value]
            others = "".join(
                f" when {literal(name)} then {literal(value)}" for name, value in accepted.items() if name != value
            )
            if not accepted:
                return "null::varchar"
            known = f"case when {text} in ({literals(same)}) then {text} end" if same else "null::varchar"
            return f"case {text}{others} else {known} end" if others else known
    return source.text


def present(source: SourceColumn | None) -> str:
    """Return SQL that tells whether the file gives a value at all."""
    if source is None:
        return "false"
    if source.type == "VARCHAR":
        return f"{source.text} is not null"
    return f"{source.sql} is not null"


def can_be_bad(column: Column, source: SourceColumn | None) -> bool:
    """Tell whether a value of an optional column may be given and yet not be of the column's type."""
    return source is not None and not column.required and not column.strict and column.type not in ("id", "text")


def reason(dataset: Dataset, sources: Mapping[str, SourceColumn], rules: TypingRules) -> str:
    """Return SQL for the first reason why a row can't be used, null for a good one.

    It reads the typed columns by their names, and ``given_<column>`` for those of :func:`checked_columns`.
    """
    cases: list[tuple[str, str]] = []
    for column in dataset.columns:
        if column.required:
            cases.append((f"not given_{column.name}", f"missing_{column.name}"))
    if dataset.one_of:
        missing = " and ".join(f"{identifier(name)} is null" for name in dataset.one_of)
        cases.append((missing, "missing_" + "_or_".join(dataset.one_of)))
    for column in dataset.columns:
        if column.required and not column.strict and column.type not in ("id", "text"):
            cases.append((f"{identifier(column.name)} is null", f"invalid_{column.name}"))
    for column in dataset.columns:
        if column.strict:
            cases.append((f"given_{column.name} and {identifier(column.name)} is null", f"unknown_{column.name}"))
    for column in dataset.columns:
        if column.non_negative:
            cases.append((f"{identifier(column.name)} < 0", f"negative_{column.name}"))
    if dataset.event_time:
        event_time = identifier(dataset.event_time)
        cases.append((f"{event_time} < {rules.first_instant()}", "before_min_event_date"))
        if "received_at" in sources and "received_at" in dataset.column_names:
            cases.append((f"{event_time} > received_at + interval 1 day", "after_received_at"))
    return "case " + " ".join(f"when {test} then {literal(code)}" for test, code in cases) + " end"


def checked_columns(dataset: Dataset) -> list[str]:
    """Return the names of the columns of which :func:`reason` needs to know whether they are given."""
    return [column.name for column in dataset.columns if column.required or column.strict]


def canonical(dataset: Dataset) -> str:
    """Return SQL for the canonical row: the typed columns as text, joined by U+001F."""
    parts = []
    for column in dataset.columns:
        name = identifier(column.name)
        match column.type:
            case "timestamp":
                text = f"strftime({name}, '%Y-%m-%dT%H:%M:%S.%fZ')"
            case "date":
                text = f"strftime({name}, '%Y-%m-%d')"
            case "number":
                text = f"rtrim(rtrim({name}::varchar, '0'), '.')"
            case "integer" | "boolean":
                text = f"{name}::varchar"
            case "list":
                # DuckDB writes lists compactly already, but escapes control characters in its own way.
                listed = f"to_json({name})::varchar"
                text = f"case when contains({listed}, '\\u00') then {COMPACT_JSON}({listed}) else {listed} end"
            case "json":
                text = f"{COMPACT_JSON}({name})"
            case _:
                text = name
        parts.append(f"coalesce({text}, '\\N')")
    return f"concat_ws(chr(31), {', '.join(parts)})"


def compact_json(text: str | None) -> str | None:
    """Write JSON compactly with sorted keys; text that Python can't read or write as JSON stays as it is."""
    if text is None:
        return None
    try:
        compact = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        compact.encode("utf-8")
    except (ValueError, RecursionError):
        return text
    return compact
