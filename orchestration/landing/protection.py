"""What protects people: rejected consents that stand for a withdrawal."""

from __future__ import annotations

import duckdb

from orchestration.landing.contract import Dataset
from orchestration.landing.quoting import literal


def add_consent_stand_ins(
    con: duckdb.DuckDBPyConnection, dataset: Dataset, judged: str, load_id: int, sha256: str, first_instant: str
) -> None:
    """Let each rejected consent whose user can be read stand for a withdrawal.

    ``judged`` is the relation of all well-formed rows of the file, typed, with their ``reason``. A time before
    ``first_instant`` (SQL) is none: the clock that wrote it was never set.
    """
    if dataset.name != "consents":
        return

    def dated(column: str) -> str:
        return f"case when {column} >= {first_instant} then {column} end"

    con.execute(
        f"""insert into raw.consent_stand_ins
        select {load_id}, {literal(sha256)}, row_number, user_id, channel,
            coalesce({dated("occurred_at")}, {dated("updated_at")},
                (select max({dated("occurred_at")}) from {judged})),
            false
        from {judged} where reason is not null and user_id is not null"""
    )
