"""Rows of the last days by date: what keeps coming, and what has stopped, at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import duckdb

from orchestration.landing.contract import DATASETS
from orchestration.landing.quoting import identifier

#: What comes day by day.
DAILY = ("events", "orders", "messages", "message_events")
DAYS = 28


def rows_by_day(con: duckdb.DuckDBPyConnection, dataset: str, last: date, zone: str) -> Sequence[int]:
    """Return the rows of a dataset on each of the last days, the oldest first: dates of a time ``zone``.

    Only the times are read, and only those near: a table that was filled day by day is skipped but for its end. They
    are counted by the quarter of an hour, which lies in one date of every zone, since to find the date takes longer.
    """
    time = identifier(DATASETS[dataset].event_time or "")
    first = last - timedelta(days=DAYS - 1)
    rows = con.execute(
        f"""
        select timezone(?, timezone('UTC', quarter))::date as day, sum(quarter_rows)::bigint
        from (
            select time_bucket(interval 15 minutes, {time}) as quarter, count(*) as quarter_rows
            from raw.{identifier(dataset)}
            where {time} >= ?::date and {time} < ?::date
            group by quarter
        )
        group by day
        """,
        [zone, first - timedelta(days=1), last + timedelta(days=2)],
    ).fetchall()
    found = dict(rows)
    return [found.get(first + timedelta(days=n), 0) for n in range(DAYS)]
