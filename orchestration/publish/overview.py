"""Plots and numbers of a published file for its page in the UI: what people would rather look at than read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

#: Title of a plot -> what it counts: a label and the number of users, in the order to show.
_PLOTS = {
    "users_by_engagement": """
        select catalog.segment, count(users.user_id)
        from marts.segment_catalog as catalog
        left join marts.user_segments as users using (family, segment)
        where catalog.family = 'engagement'
        group by catalog.segment, catalog.position order by catalog.position
    """,
    "users_by_rfm": """
        select catalog.segment, count(users.user_id)
        from marts.segment_catalog as catalog
        left join marts.user_segments as users using (family, segment)
        where catalog.family = 'rfm'
        group by catalog.segment, catalog.position order by catalog.position
    """,
    "users_by_contacts_in_7_days": """
        select if(contacts_7d > 10, 'over 10', contacts_7d::varchar), count(*)
        from marts.contact_pressure group by all order by min(contacts_7d)
    """,
}
#: Numbers that Dagster draws over time.
_NUMBERS = """
    select
        count(*) as users,
        coalesce(round(avg(contacts_7d), 3), 0)::double as contacts_7d_per_user,
        coalesce(max(contacts_7d), 0) as contacts_7d_most
    from marts.contact_pressure
"""
_EIGHTHS = " ▏▎▍▌▋▊▉"
#: Characters of the longest bar. A text of 1,000 characters and more would hide behind a link.
_WIDTH = 24


def overview(published_file: Path) -> dict[str, Any]:
    """Return plots, by title, and numbers of a published file as metadata."""
    with duckdb.connect(str(published_file), read_only=True) as con:
        plots = {title: bar_chart(con.execute(query).fetchall()) for title, query in _PLOTS.items()}
        cursor = con.execute(_NUMBERS)
        numbers = dict(zip([column[0] for column in cursor.description], cursor.fetchone() or (), strict=True))
    return {**{title: dg.MetadataValue.md(plot) for title, plot in plots.items()}, **numbers}


def bar_chart(rows: Sequence[tuple[str, int]]) -> str:
    """Return a horizontal bar chart of (label, number) as Markdown: a block of text, a line a row."""
    longest = max((number for _, number in rows), default=0) or 1
    width = max((len(label) for label, _ in rows), default=0)
    lines = [f"{label:<{width}} {_bar(number / longest)} {number:,}" for label, number in rows]
    return "\n".join(["```", *lines, "```"])


def _bar(share: float) -> str:
    """Return a bar of ``share`` of the full width, to an eighth of a character; at least a trace of what is there."""
    eighths = max(round(share * _WIDTH * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
