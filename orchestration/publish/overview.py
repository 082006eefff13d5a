"""Plots of a published file for its page in the UI: what people would rather look at than read."""

from __future__ import annotations

import base64
import io
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


def overview(published_file: Path) -> dict[str, dg.MarkdownMetadataValue]:
    """Return the plots of a published file as metadata, by title."""
    with duckdb.connect(str(published_file), read_only=True) as con:
        counts = {title: con.execute(query).fetchall() for title, query in _PLOTS.items()}
    return {title: dg.MetadataValue.md(f"![{title}]({bar_chart(title, rows)})") for title, rows in counts.items()}


def bar_chart(title: str, rows: Sequence[tuple[str, int]]) -> str:
    """Return a horizontal bar chart of (label, users) as the data URI of a PNG."""
    # it takes half a second to import: only a run that publishes something new draws
    import altair

    values: list[dict[str, Any]] = [{"label": label, "users": users} for label, users in rows]
    base = altair.Chart(altair.Data(values=values), title=title.replace("_", " ")).encode(
        x=altair.X("users:Q", title=None, axis=None),
        y=altair.Y("label:N", title=None, sort=[label for label, _ in rows]),
    )
    text = base.mark_text(align="left", dx=4).encode(text=altair.Text("users:Q", format=","))
    image = io.BytesIO()
    altair.layer(base.mark_bar(color="#4c78a8"), text).properties(width=360).save(image, format="png", scale_factor=1.5)
    return "data:image/png;base64," + base64.b64encode(image.getvalue()).decode()
