"""Erasures: rows of an erased user are dropped wherever and whenever they load.

Rows of a file that are an erased user's under the user's own id, or parts of orders and messages that were dropped, are
left out before anything is written. What an erasure finds already loaded goes in the transaction that brings it. What
hangs on it (rows of anonymous ids linked only to an erased user, parts of orders and messages) goes once all files
are in, since only then all links are known.

Who was erased is kept as keyed hashes alone. What was dropped after it had been written is noted, as it is, in
``raw.forgetting``, until the run that erases has taken it out of everything else (orchestration/warehouse/forget.py).
"""

from __future__ import annotations

import duckdb

from orchestration.landing.contract import DATASETS, Dataset
from orchestration.landing.keyed import hashed
from orchestration.landing.quoting import identifier, literal

_ERASED_USERS = "(select user_id as user_hash, max(requested_at) as requested_at from raw.erasures group by user_id)"
_DROPPED, _FOUND, ERASED_ROWS = "landing_dropped", "landing_erased", "landing_erased_rows"
#: SQL for the users that the run in progress has to forget.
TO_FORGET = "(select value from raw.forgetting where kind = 'user')"
#: Datasets with a user and a date that an erasure compares.
OF_USERS = tuple(dataset for dataset in DATASETS.values() if dataset.erasure_time and "user_id" in dataset.column_names)
#: The ids of dropped rows that later rows may hold without the user's: dataset, kind, column.
_REMEMBERED = (
    ("events", "anonymous", "anonymous_id"),
    ("identities", "anonymous", "anonymous_id"),
    ("orders", "order", "order_id"),
    ("messages", "message", "message_id"),
    ("subscriptions", "subscription", "subscription_id"),
)
#: Rows that go with a dropped row of another dataset, unless that still has a row of this id, by dataset: the other
#: dataset, kind, column.
_FOLLOWING = {
    "order_items": ("orders", "order", "order_id"),
    "message_events": ("messages", "message", "message_id"),
}
#: What tells whom a row is about, beside the user_id, by dataset.
_TELLING = {
    "users": ("email", "phone"),
    "addresses": ("address",),
    "events": ("anonymous_id",),
    "identities": ("anonymous_id",),
    "orders": ("order_id",),
    "order_items": ("order_id",),
    "messages": ("message_id",),
    "message_events": ("message_id",),
    "subscriptions": ("subscription_id",),
}


def any_erasures(con: duckdb.DuckDBPyConnection) -> bool:
    """Tell whether an erasure was ever loaded."""
    return con.execute("select 1 from raw.erasures limit 1").fetchone() is not None


def write_touches(con: duckdb.DuckDBPyConnection, dataset: Dataset, rows: str, load_id: int) -> None:
    """Write a touch, with the present values, for each row of the dataset whose rowid is in ``rows``."""
    names = dataset.column_names

    def value(name: str, type_: str = "varchar") -> str:
        return identifier(name) if name in names else f"null::{type_}"

    parent = {"message_events": "message_id", "order_items": "order_id"}.get(dataset.name)
    happened_at = identifier(dataset.event_time) if dataset.event_time else "null::timestamp"
    con.execute(
        f"""insert into raw.touches
        select {load_id}, {literal(dataset.name)}, {identifier(dataset.key[0])},
            {identifier(parent) if parent else "null::varchar"},
            {value("user_id")}, {value("anonymous_id")}, {happened_at}
        from raw.{identifier(dataset.name)} where rowid in ({rows})"""
    )


def split(con: duckdb.DuckDBPyConnection, dataset: Dataset, judged: str) -> tuple[str, bool]:
    """Return the relation of those of ``judged`` rows that stay, and whether an erasure concerns somebody of the file.

    Then the temp table landing_erased (id, requested_at) says whom, and landing_erased_rows has the erased rows: their
    row_number and reason, requested_at, and the ids that are remembered.
    """
    condition = _select_erased(con, dataset, judged)
    if condition is None:
        return judged, False
    joined = f"from {judged} j left join temp.{_FOUND} e on j.{identifier(_owner(dataset))} = e.id"
    ids = {column for name, _, column in _REMEMBERED if name == dataset.name} | {_owner(dataset)}
    # once: each look at the rows reads the file again
    con.execute(
        f"""create or replace temp table {ERASED_ROWS} as
        select j.row_number, j.reason, {", ".join(f"j.{identifier(column)}" for column in sorted(ids))}, e.requested_at
        {joined} where {condition}"""
    )
    return f"(select j.* {joined} where not ({condition}))", True


def content_unless_erased(dataset: Dataset, judged: str) -> str:
    """SQL for ``judged`` rows with null as the ``content`` of those that name somebody of landing_erased."""
    return (
        f"(select j.* replace (case when e.id is null then j.content end as content) from {judged} j "
        f"left join temp.{_FOUND} e on j.{identifier(_owner(dataset))} = e.id)"
    )


def is_found(dataset: Dataset) -> str:
    """SQL for whether a row names somebody of landing_erased."""
    return f"{identifier(_owner(dataset))} in (select id from temp.{_FOUND})"


def select_erased_devices(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the temp table landing_erased_devices (hash, requested_at): of devices that nobody who is there has."""
    con.execute(
        f"""create or replace temp table landing_erased_devices as
        select id as hash, max(requested_at) as requested_at from raw.erased_ids
        where kind = 'anonymous' and id not in (
            select {hashed("anonymous_id")} from (
                select anonymous_id from raw.identities
                union
                select anonymous_id from raw.events where anonymous_id is not null and user_id is not null))
        group by id"""
    )


def is_of_erased_device() -> str:
    """SQL for whether an event without a user is one that the loader drops; over landing_erased_devices."""
    return (
        "user_id is null and exists (select 1 from temp.landing_erased_devices d "
        f'where d.hash = {hashed("anonymous_id")} and "timestamp" <= d.requested_at)'
    )


def _owner(dataset: Dataset) -> str:
    """Return the column that says whether an erasure concerns a row."""
    return _FOLLOWING[dataset.name][2] if dataset.name in _FOLLOWING else "user_id"


def _select_erased(con: duckdb.DuckDBPyConnection, dataset: Dataset, rows: str) -> str | None:
    """Fill landing_erased with whom of ``rows`` an erasure concerns; return which rows are erased, None: none at all.

    The condition is over j, the rows, and e, landing_erased joined to them.
    """
    if not (dataset in OF_USERS or dataset.name in _FOLLOWING) or not any_erasures(con):
        return None
    ids = f"(select distinct {identifier(_owner(dataset))} as id from {rows} rows where {_owner(dataset)} is not null)"
    if dataset.name in _FOLLOWING:
        other, kind, column = _FOLLOWING[dataset.name]
        con.execute(
            f"""create or replace temp table {_FOUND} as
            select ids.id, null::timestamp as requested_at from {ids} ids
            where {hashed("ids.id")} in (select id from raw.erased_ids where kind = '{kind}')"""
        )
        _keep_those_without_a_row(con, other, column)
        condition = "e.id is not null"
    else:
        con.execute(
            f"""create or replace temp table {_FOUND} as
            select ids.id, e.requested_at from {ids} ids join {_ERASED_USERS} e on {hashed("ids.id")} = e.user_hash"""
        )
        time = f"j.{identifier(str(dataset.erasure_time))}"
        condition = f"e.id is not null and ({time} is null or {time} <= e.requested_at)"
    return condition if _count_found(con) else None


def leave_out(con: duckdb.DuckDBPyConnection, dataset: Dataset, load_id: int) -> int:
    """Remember the ids of the good rows that ``split`` found erased, and who came back; return how many they are."""
    good = f"(select * from temp.{ERASED_ROWS} where reason is null)"
    (count,) = con.execute(f"select count(*) from {good}").fetchone() or (0,)
    if dataset in OF_USERS:
        if count:
            _remember(con, dataset, good, load_id)
        new = f"select distinct user_id from raw.{identifier(dataset.name)} where load_id = {load_id}"
        _note_who_came_back(con, new)
    return int(count)


def _remember(con: duckdb.DuckDBPyConnection, dataset: Dataset, rows: str, load_id: int) -> None:
    """Keep hashes of the ids of dropped ``rows`` that later rows may hold without the user's."""
    for name, kind, column in _REMEMBERED:
        if name != dataset.name:
            continue
        con.execute(
            f"""create or replace temp table landing_remembered as
            select {hashed("id")} as id, {hashed("user_id")} as user_hash, requested_at from (
                select {column} as id, user_id, max(requested_at) as requested_at from {rows}
                where {column} is not null and user_id is not null group by all)"""
        )
        # again with this load, so that what hangs on it is looked for again
        con.execute(
            f"""delete from raw.erased_ids using temp.landing_remembered r
            where kind = '{kind}' and erased_ids.id = r.id and erased_ids.user_hash = r.user_hash"""
        )
        con.execute(f"insert into raw.erased_ids select '{kind}', *, {load_id} from temp.landing_remembered")
        con.execute("drop table temp.landing_remembered")


def _note_who_came_back(con: duckdb.DuckDBPyConnection, users: str) -> None:
    """Note which of landing_erased are among ``users``: they have rows dated after their request."""
    con.execute(
        f"""insert into raw.returned_users
        select user_id, {hashed("user_id")} from ({users})
        where user_id in (select id from temp.{_FOUND})
            and user_id not in (select user_id from raw.returned_users)"""
    )


def drop_rows_of_erased_users(con: duckdb.DuckDBPyConnection, judged: str, load_id: int, time_zone: str) -> None:
    """Drop everything loaded so far of the users that a file of erasures names, and note them in raw.forgetting."""
    con.execute(
        f"""create or replace temp table {_FOUND} as
        select ids.id, e.requested_at
        from (select distinct user_id as id from {judged} where reason is null) ids
        join {_ERASED_USERS} e on {hashed("ids.id")} = e.user_hash"""
    )
    con.execute(
        f"""insert into raw.forgetting
        select 'user', id, cast(timezone({literal(time_zone)}, timezone('UTC', requested_at)) as date)
        from temp.{_FOUND}"""
    )
    for dataset in OF_USERS:
        time = f"t.{identifier(str(dataset.erasure_time))}"
        _drop(
            con,
            dataset,
            f"""select t.rowid as rid, t.user_id, e.requested_at
            from raw.{identifier(dataset.name)} t join temp.{_FOUND} e on t.user_id = e.id
            where {time} is null or {time} <= e.requested_at""",
            load_id,
        )
    con.execute(f"delete from raw.returned_users where user_id in (select id from temp.{_FOUND})")
    left = " union ".join(f"select user_id from raw.{identifier(dataset.name)}" for dataset in OF_USERS)
    _note_who_came_back(con, left)
    clear_erased_stand_ins(con)


def _drop(con: duckdb.DuckDBPyConnection, dataset: Dataset, found: str, load_id: int) -> None:
    """Delete the rows that ``found`` selects (rid, user_id, requested_at), and account for them."""
    table = f"raw.{identifier(dataset.name)}"
    con.execute(f"create or replace temp table {_DROPPED} as {found}")
    (count,) = con.execute(f"select count(*) from temp.{_DROPPED}").fetchone() or (0,)
    if count:
        if dataset in OF_USERS:
            dropped = f"{table} t join temp.{_DROPPED} d on t.rowid = d.rid"
            rows = f"(select t.* exclude (user_id), d.user_id, d.requested_at from {dropped})"
            _remember(con, dataset, rows, load_id)
        for column in _TELLING.get(dataset.name, ()):
            con.execute(
                f"""insert into raw.forgetting
                select distinct 'text', {column}, null::date from {table}
                where rowid in (select rid from temp.{_DROPPED}) and {column} is not null"""
            )
        write_touches(con, dataset, f"select rid from temp.{_DROPPED}", load_id)
        con.execute(
            f"""update raw.load_files set rows_erased = rows_erased + gone.n
            from (select load_id, count(*) as n from {table}
                where rowid in (select rid from temp.{_DROPPED}) group by load_id) gone
            where load_files.load_id = gone.load_id"""
        )
        con.execute(f"delete from {table} where rowid in (select rid from temp.{_DROPPED})")
    con.execute(f"drop table temp.{_DROPPED}")


def clear_erased_stand_ins(con: duckdb.DuckDBPyConnection) -> None:
    """Void the stand-ins of erased users: a user who comes back starts with a new consent.

    The row stays without its user, so that the rejected consent does not look as if it named nobody.
    """
    con.execute(
        f"""update raw.consent_stand_ins as s set user_id = '', is_erased = true from {_ERASED_USERS} e
        where {hashed("s.user_id")} = e.user_hash and (s.occurred_at is null or s.occurred_at <= e.requested_at)"""
    )


def drop_linked_rows(con: duckdb.DuckDBPyConnection, load_id: int, since: int) -> None:
    """Drop the rows that hang on erased users without holding their id, once all files are loaded.

    Only ids that rows loaded after ``since`` name, or that were dropped with them, can have become an erased user's.
    """
    if not any_erasures(con):
        return
    _drop_events_of_devices(con, load_id, since)
    for name, (other, kind, column) in _FOLLOWING.items():
        con.execute(
            f"""create or replace temp table {_FOUND} as
            select id, null::timestamp as requested_at
            from (select distinct {column} as id from raw.{name} where {_may_hang("load_id", kind, since)})
            where {hashed("id")} in (select id from raw.erased_ids where kind = '{kind}')"""
        )
        _keep_those_without_a_row(con, other, column)
        if _count_found(con):
            _drop(
                con,
                DATASETS[name],
                f"""select t.rowid as rid, null::varchar as user_id, null::timestamp as requested_at
                from raw.{name} t where t.{column} in (select id from temp.{_FOUND})""",
                load_id,
            )


def _keep_those_without_a_row(con: duckdb.DuckDBPyConnection, other: str, column: str) -> None:
    """Take those out of landing_erased of which another dataset still has a row."""
    # most loads have none, and the other dataset is large
    if _count_found(con):
        con.execute(
            f"""delete from temp.{_FOUND} where id in (
                select {column} from raw.{other} where {column} in (select id from temp.{_FOUND}))"""
        )


def _count_found(con: duckdb.DuckDBPyConnection) -> int:
    (count,) = con.execute(f"select count(*) from temp.{_FOUND}").fetchone() or (0,)
    return int(count)


def _may_hang(load_id: str, kind: str, since: int) -> str:
    """SQL for the rows to look at: new ones, and all of them after new ids of a ``kind`` were dropped."""
    return f"({load_id} > {since} or exists (select 1 from raw.erased_ids where kind = '{kind}' and load_id > {since}))"


def _drop_events_of_devices(con: duckdb.DuckDBPyConnection, load_id: int, since: int) -> None:
    """Drop events without a user whose anonymous_id is linked to one erased user and to nobody else."""
    returned = "user_id in (select user_id from raw.returned_users)"
    con.execute(
        f"""create or replace temp table landing_devices as
        with devices as (
            select anonymous_id from raw.events
            where anonymous_id is not null and {_may_hang("load_id", "anonymous", since)}
            union
            select anonymous_id from raw.identities where load_id > {since}
        ),
        hashes as (select anonymous_id, {hashed("anonymous_id")} as hashed from devices)
        -- those that an erased user ever had
        select * from hashes where hashed in (select id from raw.erased_ids where kind = 'anonymous')
        union
        select * from hashes where anonymous_id in (
            select anonymous_id from raw.identities where {returned}
            union all
            select anonymous_id from raw.events where anonymous_id is not null and {returned})"""
    )
    if not con.execute("select 1 from temp.landing_devices limit 1").fetchone():
        con.execute("drop table temp.landing_devices")
        return
    con.execute(
        f"""create or replace temp table landing_linked as
        with links as (
            select d.anonymous_id, i.user_hash from raw.erased_ids i
            join temp.landing_devices d on i.id = d.hashed where i.kind = 'anonymous'
            union
            select anonymous_id, {hashed("user_id")} from (
                select distinct anonymous_id, user_id from raw.identities
                where anonymous_id in (select anonymous_id from temp.landing_devices)
                union
                select distinct anonymous_id, user_id from raw.events
                where user_id is not null and anonymous_id in (select anonymous_id from temp.landing_devices))
        )
        select l.anonymous_id, any_value(e.requested_at) as requested_at
        from links l
        left join {_ERASED_USERS} e on l.user_hash = e.user_hash
        group by l.anonymous_id
        having count(distinct l.user_hash) = 1 and any_value(e.requested_at) is not null"""
    )
    _drop(
        con,
        DATASETS["events"],
        """select t.rowid as rid, null::varchar as user_id, l.requested_at
        from raw.events t join temp.landing_linked l on t.anonymous_id = l.anonymous_id
        where t.user_id is null and t."timestamp" <= l.requested_at""",
        load_id,
    )
    con.execute("drop table temp.landing_devices")
    con.execute("drop table temp.landing_linked")
