"""What is kept of rejected rows and files: as they came, unless they name somebody who was erased."""

from __future__ import annotations

import re
from collections.abc import Collection

import duckdb

from orchestration.landing.erasures import any_erasures
from orchestration.landing.keyed import hashed

#: Ids, addresses and numbers; with and without what may be the end of a sentence or of a JSON text.
_WORD, _ENDS = "[A-Za-z0-9_@.+:-]+", ".:+-"
_WORD_OF_BYTES = re.compile(_WORD.encode())


def forget(con: duckdb.DuckDBPyConnection) -> None:
    """Clear the content of rejected rows, and the detail of rejected files, that name whom raw.forgetting holds."""
    if not con.execute("select 1 from raw.forgetting limit 1").fetchone():
        return
    for table, column in (("rejected_rows", "content"), ("rejected_files", "detail")):
        con.execute(
            f"""update raw.{table} set {column} = null
            where rowid in (
                select rid from (select rowid as rid, unnest({_words(column)}) as word from raw.{table})
                where word in (select value from raw.forgetting)
                union all
                -- what is more than a word
                select t.rowid from raw.{table} t
                join (select value from raw.forgetting where not regexp_full_match(value, '{_WORD}')) f
                    on contains(t.{column}, f.value))"""
        )


def content_unless_erased(con: duckdb.DuckDBPyConnection, column: str) -> str:
    """SQL for a text of which nobody knows the columns, null where a word of it is the id of somebody erased."""
    if not any_erasures(con):
        return column
    hashes = f"list_transform({_words(column)}, word -> {hashed('word')})"
    known = "(select list(user_id) from (select user_id from raw.erasures union all select id from raw.erased_ids))"
    return f"case when not list_has_any({hashes}, {known}) then {column} end"


def unless_erased(con: duckdb.DuckDBPyConnection, text: str) -> str | None:
    """Return a text, None where a word of it is the id of somebody erased."""
    row = con.execute(f"select {content_unless_erased(con, 'text')} from (select ? as text)", [text]).fetchone()
    return row[0] if row else None


def names_one_of(content: bytes, values: Collection[bytes]) -> bool:
    """Tell whether a file holds one of many values, each as a word, or anywhere where it is more than one."""
    words = set(_WORD_OF_BYTES.findall(content))
    words |= {word.strip(_ENDS.encode()) for word in words}
    more = [value for value in values if not _WORD_OF_BYTES.fullmatch(value)]
    return not words.isdisjoint(values) or any(value in content for value in more)


def _words(column: str) -> str:
    words = f"regexp_extract_all({column}, '{_WORD}')"
    return f"list_concat({words}, list_transform({words}, word -> trim(word, '{_ENDS}')))"
