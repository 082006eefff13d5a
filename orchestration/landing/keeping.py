"""Which rows stay: the best one under a key, or every distinct content."""

from __future__ import annotations

import duckdb

from orchestration.landing.contract import DATASETS, Dataset
from orchestration.landing.erasures import write_touches
from orchestration.landing.keyed import HASHED_DATASETS, hashed
from orchestration.landing.quoting import identifier, identifiers
from orchestration.landing.typing_sql import canonical

_PROBE = "hash_probe"
_CONFLICTS = "landing_conflicts"


def _key_hash(dataset: Dataset) -> str:
    return f"hash({identifiers(dataset.key)})"


def refresh_key_hashes(con: duckdb.DuckDBPyConnection) -> None:
    """Compute the stored hashes anew where this DuckDB hashes differently from the one that stored them."""
    (probe,) = con.execute("select hash('probe', 1::bigint)::varchar || ' ' || hash('probe')::varchar").fetchone() or (
        "",
    )
    known = con.execute("select value from raw.load_meta where name = ?", [_PROBE]).fetchone()
    if known == (probe,):
        return
    con.execute("begin")
    try:
        if known:
            for dataset in DATASETS.values():
                if dataset.keeping == "deduplicated":
                    con.execute(f"update raw.{identifier(dataset.name)} set key_hash = {_key_hash(dataset)}")
        con.execute("delete from raw.load_meta where name = ?", [_PROBE])
        con.execute("insert into raw.load_meta values (?, ?)", [_PROBE, probe])
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise


def insert_accepted(con: duckdb.DuckDBPyConnection, dataset: Dataset, judged: str, load_id: int) -> int:
    """Insert every good row of a file; returns how many there are."""
    marker = _key_hash(dataset) if dataset.keeping == "deduplicated" else f"md5({canonical(dataset)})"
    values = identifiers(dataset.column_names)
    if dataset.name in HASHED_DATASETS:
        # what follows from an id by a known way could be tried out, so that is hashed too
        marker, values = hashed(marker), values.replace(identifier("user_id"), hashed("user_id"))
    # Pushed down to the file, the filter would type the columns of the reason a second time. After a failure
    # `load.session` puts it back: until then statements are slower at most.
    con.execute("set disabled_optimizers = 'filter_pushdown'")
    (count,) = con.execute(
        f"""insert into raw.{identifier(dataset.name)}
        select {values}, {marker}, {load_id}, row_number
        from {judged} where reason is null"""
    ).fetchone() or (0,)
    con.execute("reset disabled_optimizers")
    return int(count)


def drop_repeated(con: duckdb.DuckDBPyConnection, dataset: Dataset, load_id: int) -> tuple[int, int]:
    """Leave one row a key, or one a content; returns how many new rows were duplicates or superseded.

    A row that an earlier file brought and that a better one replaces now is counted in the earlier
    file's row of the ledger.
    """
    if dataset.keeping == "deduplicated":
        return _drop_worse(con, dataset, load_id)
    return _drop_equal(con, dataset, load_id), 0


def _repeated(marker: str, table: str, load_id: int) -> str:
    """SQL for the markers of this load's rows that are there more than once.

    Most are there once: sorting them costs two thirds of a group each.
    """
    return f"""
        select {marker} from (
            select {marker}, lag({marker}) over (order by {marker}) as last from {table} where load_id = {load_id}
        ) where {marker} = last
        union
        select {marker} from {table} where load_id < {load_id}
            and {marker} in (select {marker} from {table} where load_id = {load_id})"""


def _drop_equal(con: duckdb.DuckDBPyConnection, dataset: Dataset, load_id: int) -> int:
    table = f"raw.{identifier(dataset.name)}"
    con.execute(
        f"""create or replace temp table {_CONFLICTS} as
        select rowid as rid from {table} where row_md5 in ({_repeated("row_md5", table, load_id)})
        qualify load_id = {load_id}
            and row_number() over (partition by row_md5 order by load_id, row_number) > 1"""
    )
    (count,) = con.execute(f"select count(*) from temp.{_CONFLICTS}").fetchone() or (0,)
    if count:
        con.execute(f"delete from {table} where rowid in (select rid from temp.{_CONFLICTS})")
    con.execute(f"drop table temp.{_CONFLICTS}")
    return int(count)


def _drop_worse(con: duckdb.DuckDBPyConnection, dataset: Dataset, load_id: int) -> tuple[int, int]:
    table = f"raw.{identifier(dataset.name)}"
    con.execute(f"create or replace temp table landing_hashes as {_repeated('key_hash', table, load_id)}")
    (hashes,) = con.execute("select count(*) from temp.landing_hashes").fetchone() or (0,)
    if not hashes:
        con.execute("drop table temp.landing_hashes")
        return 0, 0
    key = identifiers(dataset.key)
    received = "received_at" if "received_at" in dataset.column_names else "null::timestamp"
    # Most rows that meet under a key are equal: these are found by a hash of the content, which costs a tenth
    # of the canonical row. Only what then still differs is compared by that.
    con.execute(
        f"""create or replace temp table landing_equal as
        select rowid as rid, load_id, row_number, {key},
            hash({identifiers(dataset.column_names)}) as content_hash
        from {table} where key_hash in (select key_hash from temp.landing_hashes)
        qualify row_number() over (partition by {key}, content_hash order by load_id, row_number) > 1"""
    )
    con.execute(
        f"""create or replace temp table landing_differing as
        select rowid as rid from {table}
        where key_hash in (select key_hash from temp.landing_hashes)
            and rowid not in (select rid from temp.landing_equal)
        qualify count(*) over (partition by {key}) > 1"""
    )
    con.execute(
        f"""create or replace temp table {_CONFLICTS} as
        with differing as (
            select rowid as rid, load_id, row_number, {key}, updated_at, {received} as received_at,
                md5({canonical(dataset)}) as row_md5
            from {table} where rowid in (select rid from temp.landing_differing)
        )
        select rid, load_id,
            row_number() over (partition by {key}, row_md5 order by load_id, row_number) > 1 as is_duplicate
        from differing
        qualify row_number() over (
            partition by {key}
            order by updated_at desc nulls last, received_at asc nulls last, row_md5 desc, load_id, row_number
        ) > 1
        union all
        select rid, load_id, true from temp.landing_equal"""
    )
    for name in ("landing_hashes", "landing_equal", "landing_differing"):
        con.execute(f"drop table temp.{name}")
    write_touches(con, dataset, f"select rid from temp.{_CONFLICTS} where load_id < {load_id}", load_id)
    con.execute(
        f"""update raw.load_files set rows_superseded = rows_superseded + lost.n
        from (select load_id, count(*) as n from temp.{_CONFLICTS}
            where load_id < {load_id} group by load_id) lost
        where load_files.load_id = lost.load_id"""
    )
    duplicate, superseded = con.execute(
        f"""select count(*) filter (is_duplicate), count(*) filter (not is_duplicate)
        from temp.{_CONFLICTS} where load_id = {load_id}"""
    ).fetchone() or (0, 0)
    con.execute(f"delete from {table} where rowid in (select rid from temp.{_CONFLICTS})")
    con.execute(f"drop table temp.{_CONFLICTS}")
    return int(duplicate), int(superseded)
