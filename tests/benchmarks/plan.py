"""What eligibility and the contact plan cost at a number of users, on every channel and with every audience."""

from __future__ import annotations

import os
import re
from pathlib import Path

from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.audiences import audiences
from tests import compiled_sql
from tests.benchmarks.families import scan
from tests.benchmarks.world import fill, seconds_of

_MEMORY_LIMIT = "4GB"
_MODELS = DBT_PROJECT / "models"
#: What headroom is made of, beside the folders of the plan; marts read it too.
_HEADROOM = (
    "int_planned_contacts",
    "int_user_last_activity",
    "int_shared_addresses",
    "int_policy_caps",
    "int_cap_headroom",
)


def contact_plan(folder: Path, users: int) -> list[tuple[str, float, str]]:
    """Return the seconds and the memory of eligibility, audiences and plan at ``users`` users.

    The rows are put into the raw tables of DuckDB files, and the project's compiled models run over them in their
    order, as dbt runs them, with a thread a core and the memory of DuckDB limited.
    """
    of_audiences = {f"aud_{audience.name}" for audience in audiences()}
    of_plan = {path.stem for path in (_MODELS / "intermediate" / "as_of" / "plan").glob("*.sql")}
    of_plan |= {"contact_plan", "contact_suppressions", "audience_catalog", "planned_contacts"}
    measured = {
        "headroom": set(_HEADROOM),
        "channel_eligibility": {"channel_eligibility"},
        "contact_pressure and contact_pressure_by_channel": {"contact_pressure", "contact_pressure_by_channel"},
        "audiences": of_audiences,
        "candidates and plan": of_plan,
    }
    compiled = compiled_sql.compile_project(folder / "compiled").only(sorted(set().union(*measured.values())))
    world = compiled_sql.World(compiled, folder=folder)
    try:
        world.con.execute(
            f"set threads = {os.cpu_count()}; set preserve_insertion_order = false; "
            f"set memory_limit = '{_MEMORY_LIMIT}'; set temp_directory = '{folder / 'spill'}'"
        )
        fill(world, users, is_reachable=True)
        seconds, most = {}, 0.0
        planned = set().union(*measured.values())
        for model in compiled.models:
            forget_peak()
            seconds[model.name] = seconds_of(world, model.name)
            if model.name in planned:
                most = max(most, peak_gigabytes())
        events, one_scan = scan(world)
        rows = {
            name: len_of(world, compiled, name) for name in ("channel_eligibility", "int_candidates", "contact_plan")
        }
    finally:
        world.close()
    label = f"plan, {users:,} users, 9 channels, {len(of_audiences)} audiences"
    parts = {what: sum(seconds[name] for name in names if name in seconds) for what, names in measured.items()}
    slowest = sorted(((n, s) for n, s in seconds.items() if n in planned), key=lambda pair: -pair[1])[:6]
    return [
        *((f"{label}: {what}", taken, "s") for what, taken in parts.items()),
        (f"{label}: all of these", sum(parts.values()), "s"),
        (f"{label}: all of these / one raw scan of {events:,} events", sum(parts.values()) / one_scan, "x"),
        (f"{label}: most memory of the process (DuckDB's limit: {_MEMORY_LIMIT})", most, "GB"),
        *((f"{label}: rows of {name}", float(count), "rows") for name, count in rows.items()),
        *((f"  the slowest: {name}", taken, "s") for name, taken in slowest),
    ]


def len_of(world: compiled_sql.World, compiled: compiled_sql.Compiled, model: str) -> int:
    """Return the number of rows of a model."""
    row = world.con.execute(f"select count(*) from {compiled.relations[model]}").fetchone()
    return int(row[0]) if row else 0


def forget_peak() -> None:
    """Let the most memory of this process be counted anew."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_gigabytes() -> float:
    """Return the most memory of this process since then (GB of a billion bytes)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1e6 if found else 0.0
