"""What the caps cost to simulate: the policy segment of the day before each contact, and contacts played again."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from orchestration.measures.cap_simulation import ALL, CURRENT, Period, caps_in_force, simulate
from orchestration.measures.replay import ROLLING, Cap
from tests import compiled_sql
from tests.benchmarks.plan import forget_peak, len_of, peak_gigabytes
from tests.benchmarks.world import AS_OF, fill, seconds_of

_MEMORY_LIMIT = "4GB"
_MODELS = (
    "int_engagement_spans",
    "int_fatigued_before_contacts",
    "int_segments_before_contacts",
    "int_contact_segments",
    "int_message_orders",
)
#: Messages a user: five to everybody, and three times as many in all to every fifth, who is often tired.
_MESSAGES_A_USER = 20
_TO_FEW = """
    insert into raw.messages by name
    select
        'n' || i as message_id, 'u' || (hash(i) % ({users} // 5)) as user_id,
        ['email', 'email', 'push', 'sms'][1 + (hash(i, 1) % 4)::int] as channel,
        timestamp '2026-06-30 12:00:00' - to_seconds((hash(i, 2) % 31000000)::bigint) as sent_at,
        1 as load_id
    from range({users} * 15) as t(i)
"""


def simulated_caps(folder: Path, messages: int) -> list[tuple[str, float, str]]:
    """Return the seconds and the memory of what a simulation reads, and of one with two policies beside each other."""
    users = messages // _MESSAGES_A_USER
    compiled = compiled_sql.compile_project(folder / "compiled").only([*_MODELS, "build_info"])
    world = compiled_sql.World(compiled, folder=folder)
    try:
        world.con.execute(
            f"set threads = {os.cpu_count()}; set preserve_insertion_order = false; "
            f"set memory_limit = '{_MEMORY_LIMIT}'; set temp_directory = '{folder / 'spill'}'"
        )
        fill(world, users)
        world.con.execute(_TO_FEW.format(users=users))
        seconds, most = {}, 0.0
        for model in compiled.models:
            forget_peak()
            seconds[model.name] = seconds_of(world, model.name)
            if model.name in _MODELS:
                most = max(most, peak_gigabytes())
        rows = {name: len_of(world, compiled, name) for name in _MODELS}
        world.con.execute("use build")
        forget_peak()
        started = time.perf_counter()
        policies = {CURRENT: caps_in_force(), "proposed": [Cap("*", ALL, 7, 3), Cap("*", ALL, 30, 8)]}
        found = simulate(world.con, policies, Period(AS_OF - timedelta(days=364), AS_OF))
        taken, peak = time.perf_counter() - started, peak_gigabytes()
    finally:
        world.close()
    total = next(each for each in found if each[:4] == (CURRENT, ROLLING, ALL, ALL))
    label = f"simulate, {messages:,} messages to {users:,} users"
    return [
        *((f"{label}: {name}, {rows[name]:,} rows", seconds[name], "s") for name in _MODELS),
        (f"{label}: most memory of these (DuckDB's limit: {_MEMORY_LIMIT})", most, "GB"),
        (f"{label}: two policies, two sorts of windows", taken, "s"),
        (f"{label}: most memory of that", peak, "GB"),
        (f"{label}: contacts played", float(total.contacts), "contacts"),
        (f"{label}: removed by the caps in force", 100.0 * (total.removed_share or 0), "%"),
    ]
