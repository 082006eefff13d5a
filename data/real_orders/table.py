"""The RFM table of a published file, as Markdown."""

from __future__ import annotations

from pathlib import Path

import duckdb

from orchestration.errors import BarometerError

_HINT = "Run the pipeline first (docs/REAL_ORDERS.md), and name its BAROMETER_DATA folder after --data."
_SEGMENTS = """
    select
        catalog.segment,
        count(rfm.user_id) as users,
        round(avg(rfm.recency_days), 1) as recency_days,
        coalesce(sum(rfm.frequency), 0)::bigint as orders,
        coalesce(sum(rfm.monetary), 0)::decimal(18, 2) as revenue
    from marts.segment_catalog as catalog
    left join marts.rfm as rfm on catalog.segment = rfm.segment
    where catalog.family = 'rfm' and catalog.segment <> 'no_orders'
    group by catalog.segment, catalog.position
    order by catalog.position
"""
_ALL = """
    select
        'all' as segment,
        count(*) as users,
        round(avg(recency_days), 1) as recency_days,
        coalesce(sum(frequency), 0)::bigint as orders,
        coalesce(sum(monetary), 0)::decimal(18, 2) as revenue
    from marts.rfm
"""


def rfm_table(data: Path) -> str:
    """Return users, average recency, and orders and revenue of the window, by RFM segment of the published file."""
    file = data / "warehouse" / "barometer.duckdb"
    if not file.is_file():
        raise BarometerError(f"There is no published file {file}.", _HINT)
    try:
        with duckdb.connect(str(file), read_only=True) as con:
            rows = con.execute(_SEGMENTS).fetchall() + con.execute(_ALL).fetchall()
    except duckdb.Error as error:
        raise BarometerError(f"{file} can't be read: {str(error).splitlines()[0]}", _HINT) from None
    total = rows[-1][1] or 1
    lines = [
        "| segment | users | share | average recency (days) | orders | revenue |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for segment, users, recency, orders, revenue in rows:
        shown = "" if recency is None else f"{recency:.1f}"
        lines.append(f"| {segment} | {users:,} | {users / total:.1%} | {shown} | {orders:,} | {revenue:,.2f} |")
    return "\n".join(lines)
