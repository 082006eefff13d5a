"""Erasures: rows of an erased user are dropped wherever and whenever they load.

What a file holds of an erased user under the user's own id goes in that file's transaction, before duplicates
are looked for; so does what an erasure finds already loaded. What hangs on it (rows of anonymous ids linked
only to an erased user, message events of dropped messages, items of dropped orders) goes once all files are
in, since only then all links are known.
"""

from __future__ import annotations

import duckdb

from orchestration.landing.contract import DATASETS, Dataset
from orchestration.landing.quoting import identifier, literal

_ERASED_USERS = "(select user_id, max(requested_at) as requested_at from raw.erasures group by user_id)"
_DROPPED = "landing_dropped"
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
#: Rows that go with a dropped row of another dataset, unless that still has a row of this id: dataset, the
#: other dataset, kind, column.
_FOLLOWING = (
    ("order_items", "orders", "order", "order_id"),
    ("message_events", "messages", "message", "message_id"),
)


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


def _drop(con: duckdb.DuckDBPyConnection, dataset: Dataset, found: str, load_id: int, new_rows: bool) -> int:
    """Delete the rows that ``found`` selects (rid, user_id, requested_at), and account for them.

    ``new_rows`` says that they came with the file being loaded, so that nobody has seen them yet.
    """
    table = f"raw.{identifier(dataset.name)}"
    con.execute(f"create or replace temp table {_DROPPED} as {found}")
    (count,) = con.execute(f"select count(*) from temp.{_DROPPED}").fetchone() or (0,)
    if count:
        for name, kind, column in _REMEMBERED:
            if name == dataset.name:
                con.execute(
                    f"""insert into raw.erased_ids
                    with ids as (
                        select t.{column} as id, d.user_id, max(d.requested_at) as requested_at
                        from {table} t join temp.{_DROPPED} d on t.rowid = d.rid
                        where t.{column} is not null and d.user_id is not null
                        group by t.{column}, d.user_id
                    )
                    select '{kind}', id, user_id, requested_at from ids
                    anti join (select id, user_id from raw.erased_ids where kind = '{kind}')
                        using (id, user_id)"""
                )
        if not new_rows:
            write_touches(con, dataset, f"select rid from temp.{_DROPPED}", load_id)
            con.execute(
                f"""update raw.load_files set rows_erased = rows_erased + gone.n
                from (select load_id, count(*) as n from {table}
                    where rowid in (select rid from temp.{_DROPPED}) group by load_id) gone
                where load_files.load_id = gone.load_id"""
            )
        con.execute(f"delete from {table} where rowid in (select rid from temp.{_DROPPED})")
    con.execute(f"drop table temp.{_DROPPED}")
    return int(count)


def _rows_of_erased_users(dataset: Dataset, condition: str = "true") -> str:
    time = f"t.{identifier(str(dataset.erasure_time))}"
    return f"""select t.rowid as rid, e.user_id, e.requested_at
        from raw.{identifier(dataset.name)} t join {_ERASED_USERS} e on t.user_id = e.user_id
        where ({time} is null or {time} <= e.requested_at) and {condition}"""


def drop_erased_rows_of_load(con: duckdb.DuckDBPyConnection, dataset: Dataset, load_id: int) -> int:
    """Drop what a load brought of erased users; returns how many rows that were."""
    if dataset not in OF_USERS or not any_erasures(con):
        return 0
    return _drop(con, dataset, _rows_of_erased_users(dataset, f"t.load_id = {load_id}"), load_id, new_rows=True)


def drop_rows_of_erased_users(con: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Drop everything loaded so far of erased users: what an erasure does when it arrives after the rows."""
    for dataset in OF_USERS:
        _drop(con, dataset, _rows_of_erased_users(dataset), load_id, new_rows=False)
    clear_erased_stand_ins(con)


def clear_erased_stand_ins(con: duckdb.DuckDBPyConnection) -> None:
    """Void the stand-ins of erased users: a user who comes back starts with a new consent.

    The row stays without its user, so that the rejected consent does not look as if it named nobody.
    """
    con.execute(
        f"""update raw.consent_stand_ins as s set user_id = '', is_erased = true from {_ERASED_USERS} e
        where s.user_id = e.user_id and (s.occurred_at is null or s.occurred_at <= e.requested_at)"""
    )


def drop_linked_rows(con: duckdb.DuckDBPyConnection, load_id: int) -> None:
    """Drop the rows that hang on erased users without holding their id, once all files are loaded."""
    if not any_erasures(con):
        return
    con.execute(
        f"""create or replace temp table landing_linked as
        with links as (
            select id as anonymous_id, user_id from raw.erased_ids where kind = 'anonymous'
            union all
            select anonymous_id, user_id from raw.identities
            union all
            select anonymous_id, user_id from raw.events
            where anonymous_id is not null and user_id is not null
        ),
        of_erased as (
            select distinct anonymous_id from links where user_id in (select user_id from raw.erasures)
        )
        select l.anonymous_id, any_value(l.user_id) as user_id, any_value(e.requested_at) as requested_at
        from links l
        join of_erased using (anonymous_id)
        left join {_ERASED_USERS} e on e.user_id = l.user_id
        group by l.anonymous_id
        having count(distinct l.user_id) = 1"""
    )
    _drop(
        con,
        DATASETS["events"],
        """select t.rowid as rid, null::varchar as user_id, l.requested_at
        from raw.events t join temp.landing_linked l on t.anonymous_id = l.anonymous_id
        where t.user_id is null and t."timestamp" <= l.requested_at""",
        load_id,
        new_rows=False,
    )
    con.execute("drop table temp.landing_linked")
    for name, other, kind, column in _FOLLOWING:
        _drop(
            con,
            DATASETS[name],
            f"""select t.rowid as rid, null::varchar as user_id, null::timestamp as requested_at
            from raw.{name} t where t.{column} in (
                select id from raw.erased_ids where kind = '{kind}'
                    and id not in (select {column} from raw.{other}))""",
            load_id,
            new_rows=False,
        )
