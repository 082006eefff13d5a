"""Reads a published file again and again, like a BI tool, until it is told to end: `python -m tests.faults.reader`.

Each answer must be of one whole build. The last line of the output says, as JSON, how many there were, of which
builds, and what went wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import duckdb

#: What the file says of itself: its date and time of building, then numbers that agree in every whole build.
_LOOK = """
with
users as (select as_of, count(*) as n from marts.user_360 group by as_of),
pressure as (select as_of, count(*) as n from marts.contact_pressure group by as_of),
segments as (select as_of, family, count(*) as n from marts.user_segments group by as_of, family),
plan as (select count(*) as n from marts.contact_plan),
suppressed as (select count(*) as n from marts.contact_suppressions),
candidates as (select sum(candidates) as n, max(plan_date) as plan_date from marts.audience_catalog),
built as (select as_of, built_at from history.built_dates)
select
    info.as_of::varchar,
    info.built_at::varchar,
    (select list(distinct as_of) = [info.as_of] and sum(n) > 0 from users),
    (select list(distinct as_of) = [info.as_of] from pressure),
    (select list(distinct as_of) = [info.as_of] from segments),
    (select sum(n) from users) = (select sum(n) from pressure),
    (select list(distinct n) = [(select sum(n)::bigint from users)] from segments),
    (select n from plan) + (select n from suppressed) = (select n from candidates),
    (select plan_date from candidates) = info.as_of + 1,
    (select built_at from built where as_of = info.as_of) = info.built_at,
    (select fingerprint from history.build_state) is not null
from marts.build_info as info
"""


class TornAnswerError(Exception):
    """An answer that is not of one whole build."""


def answer(published: Path, pause: float = 0.0) -> tuple[str, str]:
    """Return date and time of building of a published file; it is asked twice over one connection."""
    with duckdb.connect(str(published), read_only=True, config={"threads": 1}) as con:
        first = con.execute(_LOOK).fetchall()
        time.sleep(pause)
        second = con.execute(_LOOK).fetchall()
    if len(first) != 1 or first != second or not all(value is True for value in first[0][2:]):
        raise TornAnswerError(f"{first}, then {second}")
    return first[0][:2]


def main() -> None:
    """Read until SIGTERM, or until whoever began this is gone; the file may be missing until it was first seen."""
    published, pause, parent = Path(sys.argv[1]), float(sys.argv[2]), os.getppid()
    state: dict[str, Any] = {"goes_on": True}

    def end(number: int, frame: FrameType | None) -> None:
        state["goes_on"] = False

    signal.signal(signal.SIGTERM, end)
    builds: Counter[str] = Counter()
    order: list[str] = []
    errors: list[str] = []
    is_there = published.exists()
    while state["goes_on"] and os.getppid() == parent:
        is_there = is_there or published.exists()
        if is_there:
            try:
                build = " ".join(answer(published, pause / 4))
                builds[build] += 1
                if order[-1:] != [build]:
                    order.append(build)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
        time.sleep(pause)
    print(json.dumps({"reads": sum(builds.values()), "builds": order, "errors": errors}))


if __name__ == "__main__":
    main()
