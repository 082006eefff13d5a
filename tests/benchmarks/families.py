"""What all segment families cost at a number of users, beside one scan of the events that they follow from."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.families import families
from tests import compiled_sql
from tests.benchmarks.world import fill, seconds_of

_SCANS = 5
#: What the families are made of beside themselves: one row a user, or what becomes one.
_SHARED = ("int_folded_segments", "user_360")


def segment_families(folder: Path, users: int) -> list[tuple[str, float, str]]:
    """Return the seconds of the models of a date at ``users`` users, and as a multiple of a scan of the events.

    The rows are put into raw tables of an in-memory warehouse, and the project's compiled models run over them in
    their order, as dbt runs them, with a thread a core.
    """
    names = [f"fam_{family.name}" for family in families()]
    compiled = compiled_sql.compile_project(folder / "compiled").only([*names, *_SHARED])
    world = compiled_sql.World(compiled)
    try:
        world.con.execute(f"set threads = {os.cpu_count()}; set preserve_insertion_order = false")
        fill(world, users)
        seconds = {model.name: seconds_of(world, model.name) for model in compiled.models}
        events, one_scan = scan(world)
    finally:
        world.close()
    of_families = sum(seconds[name] for name in names)
    folder_of_a_date = DBT_PROJECT / "models" / "intermediate" / "as_of"
    read = {path.stem for path in folder_of_a_date.glob("*.sql")} - set(_SHARED)
    of_a_date = sum(taken for name, taken in seconds.items() if name in read)
    folding = sum(seconds[name] for name in _SHARED)
    label = f"segment families, {users:,} users, {events:,} events"
    slowest = sorted(seconds.items(), key=lambda pair: -pair[1])[:8]
    return [
        (f"{label}: the {len(names)} families", of_families, "s"),
        (f"{label}: folding and user_360", folding, "s"),
        (f"{label}: what they read of a date (cadence, lead score, contacts, ...)", of_a_date, "s"),
        (f"{label}: one raw scan of the events, every column", one_scan, "s"),
        (f"{label}: families / scan", of_families / one_scan, "x"),
        (
            f"{label}: with folding, user_360 and what they read / scan",
            (of_families + folding + of_a_date) / one_scan,
            "x",
        ),
        *((f"  of all models the slowest: {name}", taken, "s") for name, taken in slowest),
    ]


def scan(world: compiled_sql.World) -> tuple[int, float]:
    """Return how many events there are, and the median seconds of reading every column of them."""
    times = []
    for _ in range(_SCANS):
        started = time.perf_counter()
        row = world.con.execute("select count(*), bit_xor(hash(events)) from raw.events as events").fetchone()
        times.append(time.perf_counter() - started)
    return int(row[0]) if row else 0, statistics.median(times)
