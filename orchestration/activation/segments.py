"""Segment extracts: who of a segment may be contacted on which channel, with the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.activation.files import file_name, fill, write_pair
from orchestration.landing.quoting import literal

#: The families that are extracted; each gets a folder, each of its segments a file.
FAMILIES = ("engagement", "rfm")
COLUMNS = ("user_id", "channel", "address")


@dataclass(frozen=True)
class Segments:
    """Rows by (family, segment), and the pairs of user and channel that the veto and the universal holdout took out."""

    rows: Mapping[tuple[str, str], int]
    vetoed: int
    held_out: int


def write_segments(con: duckdb.DuckDBPyConnection, folder: Path) -> Segments:
    """Write ``<family>/<segment>`` of every segment of FAMILIES: a row a (user_id, channel), in that order.

    Only channels with an address, consent and no suppression as of the date, less the veto, the universal
    holdout and whoever is in the seed do_not_contact.
    ``con`` has the temp table reach, and the build attached as ``build``.
    """
    fill(
        con,
        "members",
        """
        select
            reach.user_id,
            reach.channel,
            reach.address,
            reach.is_vetoed,
            held_out.user_id is not null as is_held_out
        from reach
        left join build.intermediate.int_universal_holdout as held_out on reach.user_id = held_out.user_id
        anti join policy.do_not_contact as listed on reach.user_id = listed.user_id
        where reach.may_get_marketing
        """,
    )
    families = ", ".join(map(literal, FAMILIES))
    fill(
        con,
        "segment_rows",
        f"""
        select segments.family, segments.segment, members.user_id, members.channel, members.address
        from build.marts.user_segments as segments
        inner join members on segments.user_id = members.user_id
        where
            segments.family in ({families}) and not members.is_vetoed and not members.is_held_out
        """,
    )
    rows = {
        (family, segment): _write_segment(con, folder / family, family, segment)
        for family, segment in con.execute(
            "select family, segment from build.marts.segment_catalog "
            f"where family in ({families}) order by family, position"
        ).fetchall()
    }
    (counts,) = con.execute(
        "select count(*) filter (is_vetoed), count(*) filter (is_held_out and not is_vetoed) from members"
    ).fetchall()
    return Segments(rows, *counts)


def _write_segment(con: duckdb.DuckDBPyConnection, folder: Path, family: str, segment: str) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    rows = f"from segment_rows where family = {literal(family)} and segment = {literal(segment)}"
    return write_pair(con, folder / file_name(segment), rows, COLUMNS, "segment_rows.user_id, segment_rows.channel")
