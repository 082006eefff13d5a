"""What is kept of rejected rows and files: as they came, unless they name somebody who was erased."""

from __future__ import annotations

import duckdb

_WORD = "[A-Za-z0-9_@.+:-]+"


def forget(con: duckdb.DuckDBPyConnection) -> None:
    """Clear the content of rejected rows, and the detail of rejected files, that name whom raw.forgetting holds."""
    if not con.execute("select 1 from raw.forgetting limit 1").fetchone():
        return
    for table, column in (("rejected_rows", "content"), ("rejected_files", "detail")):
        con.execute(
            f"""update raw.{table} set {column} = null
            where rowid in (
                select rid from (select rowid as rid, unnest(regexp_extract_all({column}, '{_WORD}')) as word
                    from raw.{table})
                where word in (select value from raw.forgetting)
                union all
                -- what is more than a word
                select t.rowid from raw.{table} t
                join (select value from raw.forgetting where not regexp_full_match(value, '{_WORD}')) f
                    on contains(t.{column}, f.value))"""
        )
