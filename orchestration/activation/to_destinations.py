"""What each destination gets: a Parquet file for its segments and for each of its plan lists, and nothing besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations.interface import SEGMENTS
from orchestration.activation.files import count_rows, file_name, fill, write_file
from orchestration.landing.quoting import identifier, literal

#: Their folder, beside those of the families.
FOLDER = "destinations"
_HEADROOM = "headroom_"
#: What the attribute next_eligible_date is at a provider, whose automations hold back while it lies ahead: empty for
#: who may be contacted on the plan date (else it would differ for nearly everybody every day), far off for never.
_HELD_BACK_UNTIL = (
    "case when pressure.user_id is not null and pressure.next_eligible_date is null then date '9999-12-31' "
    "when pressure.next_eligible_date > pressure.as_of + 1 then pressure.next_eligible_date end"
)


@dataclass(frozen=True)
class DestinationLists:
    """By (destination, audience): rows of the file, rows left out because another has their key, candidates."""

    rows: Mapping[tuple[str, str], int] = field(default_factory=dict)
    shared_key: Mapping[tuple[str, str], int] = field(default_factory=dict)
    candidates: Mapping[tuple[str, str], int] = field(default_factory=dict)


def list_file(folder: Path, destination: str, audience: str) -> Path:
    """Return the file of a target in the folder of a date."""
    return folder / FOLDER / file_name(destination) / f"{file_name(audience)}.parquet"


def write_lists(
    con: duckdb.DuckDBPyConnection, folder: Path, destinations: Sequence[DestinationConfig]
) -> DestinationLists:
    """Write ``destinations/<destination>/<audience>.parquet``: a row a key, in the order of keys.

    ``con`` has the temp tables of write_segments and write_plan_lists (members, plan_rows) and the build attached as
    ``build``.
    """
    rows, shared, candidates = {}, {}, {}
    if not destinations:
        return DestinationLists()
    (folder / FOLDER).mkdir(mode=0o700)
    kinds = dict(con.execute("select channel, address_kind from policy.channels").fetchall())
    of_audience = dict(con.execute("select audience, candidates from build.marts.audience_catalog").fetchall())
    for destination in destinations:
        (folder / FOLDER / file_name(destination.name)).mkdir(mode=0o700)
        for target in destination.targets:
            where = (destination.name, target.audience)
            query = (
                _segment_rows(con, destination, target, kinds)
                if target.audience == SEGMENTS
                else _plan_rows(con, destination, target, kinds)
            )
            fill(con, "list_rows", query)
            columns = [column for column, *_ in con.execute("describe list_rows").fetchall()]
            selected = [identifier(column) for column in columns]
            fill(con, "list_keys", _once_a_key(selected))
            write_file(con, list_file(folder, *where), "from list_keys", selected)
            rows[where] = count_rows(con, "from list_keys")
            ((keys,),) = con.execute("select count(key) from list_rows").fetchall()
            shared[where] = keys - rows[where]
            candidates[where] = of_audience.get(target.audience, rows[where])
    return DestinationLists(rows, shared, candidates)


def _once_a_key(columns: Sequence[str]) -> str:
    """SQL for one row a key of the temp table list_rows, in the order of keys.

    The first by all columns: a user may have two messages of an audience. Most have one, and are not sorted by them.
    """
    return (
        "with repeated as (select key from list_rows where key is not null group by key having count(*) > 1) "
        "select * from list_rows where key is not null and key not in (from repeated) union all "
        "select * from list_rows where key in (from repeated) "
        f"qualify row_number() over (partition by key order by user_id, {', '.join(columns)}) = 1 order by key"
    )


def _plan_rows(
    con: duckdb.DuckDBPyConnection, destination: DestinationConfig, target: TargetConfig, kinds: Mapping[str, str]
) -> str:
    """SQL for whom the plan contacts for an audience on the destination's channels."""
    types = _types(con, "plan_rows")
    addresses = {
        kind: f"case when channel in ({_texts(c for c, k in kinds.items() if k == kind)}) then address end"
        for kind in ("email", "phone")
    }
    columns = [*_fixed(destination, addresses), *_attributes(target, types, {})]
    return (
        f"select {', '.join(columns)} from plan_rows where audience = {literal(target.audience)} and not is_vetoed "
        f"and channel in ({_texts(destination.channels)})"
    )


def _segment_rows(
    con: duckdb.DuckDBPyConnection, destination: DestinationConfig, target: TargetConfig, kinds: Mapping[str, str]
) -> str:
    """SQL for everybody whom marketing can reach on one of the destination's channels."""
    types = _types(con, "build.marts.user_360")
    addresses = {
        kind: f"max(address) filter (channel in ({_texts(c for c, k in kinds.items() if k == kind)}))"
        for kind in ("email", "phone")
    }
    headrooms = {
        column: f"max(headroom) filter (channel = {literal(column.removeprefix(_HEADROOM))}) as {identifier(column)}"
        for column, _ in target.attributes
        if column.startswith(_HEADROOM) and column not in types
    }
    others = {column: f"channels_left.{identifier(column)}" for column in headrooms}
    others["next_eligible_date"] = _HELD_BACK_UNTIL
    columns = [
        *_fixed(destination, {kind: f"reached.{kind}" for kind in addresses}, "reached."),
        *_attributes(target, types | _types(con, "build.marts.contact_pressure", "next_eligible_date"), others, "u."),
    ]
    left = (
        f"left join (select user_id, {', '.join(headrooms.values())} "
        "from build.marts.contact_pressure_by_channel group by user_id) as channels_left "
        "on reached.user_id = channels_left.user_id "
        if headrooms
        else ""
    )
    return (
        f"with reached as (select user_id, cast(null as varchar) as channel, {addresses['email']} as email, "
        f"{addresses['phone']} as phone from members "
        f"where not is_vetoed and not is_held_out and channel in ({_texts(destination.channels)}) group by user_id) "
        f"select {', '.join(columns)} from reached "
        "inner join build.marts.user_360 as u on reached.user_id = u.user_id "
        "left join build.marts.contact_pressure as pressure on reached.user_id = pressure.user_id "
        f"{left}"
    )


def _fixed(destination: DestinationConfig, addresses: Mapping[str, str], prefix: str = "") -> list[str]:
    """SQL for the key, the user, the channel, and the addresses that the destination needs."""
    kind = destination.kind
    normal = {
        "email": f"lower(trim({addresses['email']}))",
        "phone": f"trim({addresses['phone']})",
    }
    key = f"{prefix}user_id" if kind.key == "user_id" else normal[kind.key]
    wanted = sorted(kind.addresses_of(destination.options))
    return [
        f"{key} as key",
        f"{prefix}user_id as user_id",
        f"{prefix}channel as _channel",
        *(f"{normal[each]} as {each}" for each in wanted),
    ]


def _attributes(
    target: TargetConfig, types: Mapping[str, str], others: Mapping[str, str], prefix: str = ""
) -> list[str]:
    """SQL for the attributes under their names at the provider: texts, numbers and truth values alone."""
    return [
        f"{_plain(others.get(column, prefix + identifier(column)), types.get(column, 'BIGINT'))} as {identifier(name)}"
        for column, name in target.attributes
    ]


def _plain(expression: str, type_: str) -> str:
    if type_.endswith("[]"):
        # providers take no empty text, or take it for none
        return f"nullif(array_to_string({expression}, '|'), '')"
    if type_.startswith(("DATE", "TIMESTAMP", "TIME")):
        return f"cast({expression} as varchar)"
    if type_.startswith("DECIMAL") or type_ in ("FLOAT", "REAL"):
        return f"cast({expression} as double)"
    if type_.endswith("INT") or type_ in ("INTEGER",):
        return f"cast({expression} as bigint)"
    return expression


def _types(con: duckdb.DuckDBPyConnection, table: str, column: str = "*") -> dict[str, str]:
    found = con.execute(f"describe select {column} from {table}").fetchall()
    return {name: type_ for name, type_, *_ in found}


def _texts(values: Iterable[str]) -> str:
    return ", ".join(literal(value) for value in values) or "null"
