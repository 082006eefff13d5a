"""The benchmark: `make bench` prints seconds of whole runs, and the loader beside a plain load of the same files.

Whole runs are processes of their own in a temporary folder. The loader and the plain load run in turn on the same
files, each into a new DuckDB file, and the median of the ratios pair by pair is what to quote: single times drift.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb

from orchestration.landing.load import load_landing
from orchestration.landing.schema import create_raw_schema
from orchestration.settings import ROOT, dbt_vars, load_settings
from tests.benchmarks.families import segment_families
from tests.benchmarks.loop import plan_in_the_loop, table
from tests.benchmarks.overhead import empty_daily_runs
from tests.benchmarks.plan import contact_plan
from tests.benchmarks.scale import as_text, measure, write
from tests.benchmarks.shop import SCALES, YEARS_OF_DAYS, Scale
from tests.benchmarks.simulate import simulated_caps
from tests.benchmarks.simulator import simulated_world
from tests.benchmarks.sync import mirrored_users

_GROUPS = ("runs", "overhead", "loader", "simulator", "families", "plan", "simulate", "sync", "loop")
_EVENTS = """
    copy (
        select
            'event-' || i as event_id,
            'user-' || (hash(i) % {users}) as user_id,
            'device-' || (hash(i) % {users}) as anonymous_id,
            ['page', 'Product Viewed', 'Product Added', 'Order Completed'][1 + (hash(i, 1) % 4)::int] as event,
            timestamp '2024-01-01' + to_seconds((i * 31536000 / {rows})::bigint) as timestamp,
            timestamp '2024-01-01 00:00:05' + to_seconds((i * 31536000 / {rows})::bigint) as received_at,
            'web' as platform,
            'session-' || (i // 8) as session_id,
            'product-' || (hash(i, 2) % 5000) as product_id,
            case when i % 3 = 0 then 'shoes' end as category,
            null::varchar as order_id,
            case when i % 4 = 3 then (hash(i, 3) % 10000) / 100 end::decimal(18, 6) as value,
            'EUR' as currency,
            case when i % 5 = 0 then '{{"page": ' || (i % 100) || '}}' end as properties,
            null::timestamp as updated_at
        from range({rows}) as t(i)
    ) to '{path}' (format parquet)
"""


def main() -> None:
    """Run the parts asked for and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000, help="event rows for the loader (default: 2,000,000)")
    parser.add_argument("--pairs", type=int, default=3, help="times that loader and plain load run (default: 3)")
    parser.add_argument("--users", type=int, default=220_000, help="people of the simulator's world (default: 220,000)")
    parser.add_argument(
        "--family-users", type=int, default=2_000_000, help="users of the segment families (default: 2,000,000)"
    )
    parser.add_argument("--plan-users", type=int, default=2_000_000, help="users of the plan (default: 2,000,000)")
    parser.add_argument(
        "--simulate-messages", type=int, default=4_000_000, help="messages of simulated caps (default: 4,000,000)"
    )
    parser.add_argument("--sync-users", type=int, default=1_000_000, help="users of a sync (default: 1,000,000)")
    parser.add_argument("--loop-users", type=int, default=1_000, help="people of the plan in the loop (default: 1,000)")
    parser.add_argument("--loop-days", type=int, default=90, help="days of the plan in the loop (default: 90)")
    parser.add_argument("--loop-seed", type=int, default=1, help="seed of the plan in the loop (default: 1)")
    parser.add_argument(
        "--loop-others", type=float, default=0, help="share of the calendar that another team sends (default: 0)"
    )
    parser.add_argument("--nights", type=int, default=3, help="empty daily runs of each sort (default: 3)")
    parser.add_argument(
        "--only", choices=_GROUPS, nargs="+", default=_GROUPS, help="parts of the benchmark (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--scale", choices=sorted(SCALES), help="instead: a whole pipeline at a size, with its peers")
    parser.add_argument("--days", type=int, default=YEARS_OF_DAYS, help="days of history of --scale (default: 730)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep what --scale found, as JSON")
    options = parser.parse_args()
    if options.scale:
        _at_scale(replace(SCALES[options.scale], days=options.days), options.save, options.json)
        return
    with tempfile.TemporaryDirectory() as folder:
        parts = {
            "runs": lambda: _whole_runs(Path(folder)),
            "overhead": lambda: empty_daily_runs(Path(folder), options.nights),
            "loader": lambda: _loader(Path(folder), options.rows, options.pairs),
            "simulator": lambda: simulated_world(Path(folder), options.users),
            "families": lambda: segment_families(Path(folder), options.family_users),
            "plan": lambda: contact_plan(Path(folder), options.plan_users),
            "simulate": lambda: simulated_caps(Path(folder), options.simulate_messages),
            "sync": lambda: mirrored_users(Path(folder), options.sync_users),
            "loop": lambda: plan_in_the_loop(
                Path(folder), options.loop_users, options.loop_days, options.loop_seed, options.loop_others
            ),
        }
        found = {part: parts[part]() for part in options.only}
    versions = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    machine = f"{os.cpu_count()} cores, {platform.machine()}, {versions}"
    rows = [row for of_part in found.values() for row in of_part]
    if options.json:
        measures = [{"what": what, "value": value, "unit": unit} for what, value, unit in rows]
        print(json.dumps({"machine": machine, "measures": measures}))
        return
    print(f"\n{machine}\n")
    beside = found.pop("loop", [])
    rows = [row for of_part in found.values() for row in of_part]
    width = max((len(what) for what, _, _ in rows), default=0)
    for what, value, unit in rows:
        print(f"{what:<{width}}  {value:>12,.2f}  {unit}")
    if beside:
        print(f"\n{table(beside)}")


def _at_scale(scale: Scale, file: Path | None, is_json: bool) -> None:
    found = measure(scale)
    if file:
        write(found, file)
    print(json.dumps(found) if is_json else as_text(found))


def _whole_runs(folder: Path) -> list[tuple[str, float, str]]:
    """Time `make run` on the sample, as installed: the first run, and the second over the same files."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BAROMETER_")}
    environment["BAROMETER_DATA"] = str(folder / "data")
    rows = []
    for which in ("first", "second"):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "orchestration", "run"], cwd=ROOT, env=environment, check=True, capture_output=True
        )
        rows.append((f"make run on the sample, {which} run", time.perf_counter() - started, "s"))
    return rows


def _loader(folder: Path, rows: int, pairs: int) -> list[tuple[str, float, str]]:
    """Time the loader beside `create table as select * from read_parquet(...)` of the same files."""
    landing = folder / "landing"
    (landing / "events").mkdir(parents=True)
    path = landing / "events" / "events.parquet"
    duckdb.sql(_EVENTS.format(rows=rows, users=max(rows // 50, 1), path=path))
    settings = load_settings(dbt_vars(), settle_seconds=0)

    def with_loader(con: duckdb.DuckDBPyConnection) -> None:
        create_raw_schema(con)
        load_landing(con, landing, settings, lambda: datetime(2026, 1, 1), lambda _: None)

    def plain(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(f"create table events as select * from read_parquet('{landing}/events/*.parquet')")

    def timed(load: Callable[[duckdb.DuckDBPyConnection], None], name: str) -> float:
        file = folder / f"{name}.duckdb"
        file.unlink(missing_ok=True)
        with duckdb.connect(str(file)) as con:
            started = time.perf_counter()
            load(con)
            con.execute("checkpoint")
            return time.perf_counter() - started

    times = [(timed(with_loader, "loader"), timed(plain, "plain")) for _ in range(pairs)]
    loader, reference = (statistics.median(column) for column in zip(*times, strict=True))
    return [
        (f"loader, {rows:,} Parquet events", rows / loader, "rows/s"),
        (f"plain create table as, {rows:,} Parquet events", rows / reference, "rows/s"),
        ("loader / plain, median of pairs", statistics.median(a / b for a, b in times), "x the seconds"),
    ]


if __name__ == "__main__":
    main()
