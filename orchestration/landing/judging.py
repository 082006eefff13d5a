"""SQL that judges the rows of a landing file: typed, each with the reason for which it can't be used."""

from __future__ import annotations

from orchestration.landing import typing_sql
from orchestration.landing.contract import Dataset
from orchestration.landing.quoting import identifier
from orchestration.landing.reading import Source


def judged_rows(dataset: Dataset, source: Source, rules: typing_sql.TypingRules) -> str:
    """SQL for all well-formed rows of a file: typed, with ``given_<column>``, ``reason``, ``content``."""
    prepared, sources = [], {}
    for name, source_column in source.columns.items():
        sql, sources[name] = typing_sql.cleaned(dataset.column(name), source_column)
        prepared.append(f"{sql}, ")
    columns = [
        f"{typing_sql.typed(column, sources.get(column.name), rules)} as {identifier(column.name)}"
        for column in dataset.columns
    ]
    given = {name: sources.get(name) for name in typing_sql.checked_columns(dataset)}
    given |= {column.name: sources.get(column.name) for column in fallible_columns(dataset, source)}
    columns += [f"{typing_sql.present(column)} as given_{name}" for name, column in given.items()]
    return f"""(select *, {typing_sql.reason(dataset, sources, rules)} as reason
        from (select {", ".join(columns)}, row_number, content
            from (select {"".join(prepared)}src.row_number, src.content from {source.sql} src)))"""


def fallible_columns(dataset: Dataset, source: Source) -> list[typing_sql.Column]:
    """Return the columns whose values in the file may be of no use, so that they become null."""
    return [column for column in dataset.columns if typing_sql.can_be_bad(column, source.columns.get(column.name))]
