"""What all segment families cost at a number of users, beside one scan of the events that they follow from."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import duckdb

from orchestration.settings import ROOT

_AS_OF, _PLAN_DATE = "2026-06-30", "2026-07-01"
#: A world of plain rows, spread over the year before as_of: 10 events, 1.5 orders, 5 messages a user.
_DATASETS = {
    "users": """
        select
            'u' || i as user_id, 'u' || i || '@example.com' as email,
            date '1950-01-01' + (hash(i) % 20000)::int as birth_date,
            ['female', 'male', null][1 + (hash(i, 1) % 3)::int] as gender, ['FR', 'DE', 'GB', 'ES', null][1 + (hash(i, 2) % 5)::int] as country,
            'city ' || (hash(i, 3) % 60) as city, ['garden|books', 'tea', null][1 + (hash(i, 4) % 3)::int] as interests,
            timestamp '2025-07-01' + to_seconds((hash(i, 5) % 31000000)::bigint) as created_at
        from range({users}) as t(i)
    """,
    "events": """
        select
            'e' || i as event_id, 'u' || (hash(i) % {users}) as user_id,
            ['page', 'page', 'page', 'Product Viewed', 'Product Viewed', 'Products Searched', 'Product Added', 'Checkout Started']
                [1 + (hash(i, 1) % 8)::int] as event,
            timestamp '2026-06-30 23:00:00' - to_seconds((31000000 * pow((hash(i, 2) % 1000003) / 1000003.0, 2))::bigint) as timestamp,
            'product ' || (hash(i, 3) % 5000) as product_id
        from range({users} * 10) as t(i)
    """,
    "products": "select 'product ' || i as product_id, 'category ' || (i % 40) as category from range(5000) as t(i)",
    "orders": """
        select
            'o' || i as order_id, 'u' || (hash(i) % ({users} // 2)) as user_id,
            timestamp '2026-06-30 23:00:00' - to_seconds((hash(i, 2) % 40000000)::bigint) as ordered_at,
            (5 + hash(i, 3) % 20000 / 100)::decimal(18, 2) as gross_amount
        from range({users} * 3 // 2) as t(i)
    """,
    "order_items": """
        select 'o' || i as order_id, 1 as line_number, 'product ' || (hash(i, 3) % 5000) as product_id, 1 as quantity, 10 as unit_price
        from range({users} * 3 // 2) as t(i)
    """,
    "consents": """
        select 'u' || i as user_id, 'email' as channel, 'granted' as status,
            timestamp '2025-07-01' + to_seconds((hash(i, 5) % 31000000)::bigint) as occurred_at
        from range(0, {users}, 2) as t(i)
    """,
    "messages": """
        select
            'm' || i as message_id, 'u' || (hash(i) % {users}) as user_id, ['email', 'push'][1 + (hash(i, 1) % 2)::int] as channel,
            timestamp '2026-06-30 12:00:00' - to_seconds((hash(i, 2) % 16000000)::bigint) as sent_at
        from range({users} * 5) as t(i)
    """,
    "message_events": """
        select
            'x' || i as event_id, 'm' || i as message_id, ['delivered', 'delivered', 'opened', 'clicked'][1 + (hash(i, 1) % 4)::int] as event,
            timestamp '2026-06-30 13:00:00' - to_seconds((hash(i, 2) % 16000000)::bigint) as occurred_at
        from range({users} * 5) as t(i)
    """,
    "subscriptions": """
        select 's' || i as subscription_id, 'u' || i as user_id, timestamp '2025-09-01' as started_at,
            timestamp '2026-07-01' + to_days((hash(i) % 200)::int) as renews_at, hash(i, 1) % 3 > 0 as auto_renew
        from range(0, {users}, 10) as t(i)
    """,
}
_SCANS = 5


def segment_families(folder: Path, users: int) -> list[tuple[str, float, str]]:
    """Return the seconds of the models of a date at ``users`` users, by kind, and as a multiple of a scan of the events."""
    landing, data = folder / "families_landing", folder / "families"
    for dataset, query in _DATASETS.items():
        (landing / dataset).mkdir(parents=True, exist_ok=True)
        duckdb.sql(f"copy ({query.format(users=users)}) to '{landing}/{dataset}/all.parquet' (format parquet)")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("BAROMETER_")} | {
        "BAROMETER_LANDING": str(landing),
        "BAROMETER_DATA": str(data),
        "BAROMETER_SETTLE_SECONDS": "0",
        "BAROMETER_AS_OF": _AS_OF,
        "BAROMETER_TODAY": _PLAN_DATE,
    }
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "orchestration", "run"], cwd=ROOT, env=environment, check=True)
    whole = time.perf_counter() - started
    seconds = _seconds_by_model(data / "warehouse" / "dbt" / "run_results.json")
    families = sum(taken for name, taken in seconds.items() if name.startswith("fam_"))
    folded = sum(seconds[name] for name in ("int_folded_segments", "user_360"))
    events, scan = _scan(data / "warehouse" / "working.duckdb")
    label = f"segment families, {users:,} users, {events:,} events"
    slowest = sorted(seconds.items(), key=lambda pair: -pair[1])[:12]
    return [
        (f"{label}: the models of all families", families, "s"),
        (f"{label}: folding and user_360", folded, "s"),
        (f"{label}: one raw scan of the events", scan, "s"),
        (f"{label}: families, folding and user_360 / scan", (families + folded) / scan, "x"),
        (f"{label}: first run as a whole, files to extracts", whole, "s"),
        *((f"  slow: {name}", taken, "s") for name, taken in slowest),
    ]


def _seconds_by_model(results: Path) -> dict[str, float]:
    nodes = json.loads(results.read_text(encoding="utf-8"))["results"]
    return {n["unique_id"].split(".")[-1]: n["execution_time"] for n in nodes if n["unique_id"].startswith("model.")}


def _scan(working_file: Path) -> tuple[int, float]:
    """Return how many events there are, and the median seconds of reading every column of them."""
    with duckdb.connect(str(working_file), read_only=True) as con:
        times = []
        for _ in range(_SCANS):
            started = time.perf_counter()
            row = con.execute("select count(*), bit_xor(hash(events)) from raw.events as events").fetchone()
            times.append(time.perf_counter() - started)
    return int(row[0]) if row else 0, statistics.median(times)
