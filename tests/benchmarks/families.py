"""What all segment families cost at a number of users, beside one scan of the events that they follow from."""

from __future__ import annotations

import os
import statistics
import time
from datetime import date
from pathlib import Path

from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.families import families
from tests import compiled_sql

_AS_OF = date(2026, 6, 30)
#: A world of plain rows, spread over the year before as_of: 10 events, 1.5 orders, 5 messages a user.
_DATASETS = {
    "users": """
        select
            'u' || i as user_id, 'u' || i || '@example.com' as email,
            date '1950-01-01' + (hash(i) % 20000)::int as birth_date,
            ['female', 'male', null][1 + (hash(i, 1) % 3)::int] as gender,
            ['FR', 'DE', 'GB', 'ES', null][1 + (hash(i, 2) % 5)::int] as country,
            'city ' || (hash(i, 3) % 60) as city,
            [['garden', 'books'], ['tea'], null][1 + (hash(i, 4) % 3)::int] as interests,
            timestamp '2025-07-01' + to_seconds((hash(i, 5) % 31000000)::bigint) as created_at
        from range({users}) as t(i)
    """,
    "events": """
        select
            'e' || i as event_id, 'u' || (hash(i) % {users}) as user_id,
            [
                'page', 'page', 'page', 'Product Viewed', 'Product Viewed', 'Products Searched', 'Product Added',
                'Checkout Started'
            ][1 + (hash(i, 1) % 8)::int] as event,
            timestamp '2026-06-30 23:00:00'
            - to_seconds((31000000 * pow((hash(i, 2) % 1000003) / 1000003.0, 2))::bigint) as timestamp,
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
        select
            'o' || i as order_id, 1 as line_number, 'product ' || (hash(i, 3) % 5000) as product_id,
            1 as quantity, 10 as unit_price
        from range({users} * 3 // 2) as t(i)
    """,
    "consents": """
        select 'u' || i as user_id, 'email' as channel, 'granted' as status,
            timestamp '2025-07-01' + to_seconds((hash(i, 5) % 31000000)::bigint) as occurred_at
        from range(0, {users}, 2) as t(i)
    """,
    "messages": """
        select
            'm' || i as message_id, 'u' || (hash(i) % {users}) as user_id,
            ['email', 'push'][1 + (hash(i, 1) % 2)::int] as channel,
            timestamp '2026-06-30 12:00:00' - to_seconds((hash(i, 2) % 16000000)::bigint) as sent_at
        from range({users} * 5) as t(i)
    """,
    "message_events": """
        select
            'x' || i as event_id, 'm' || i as message_id,
            ['delivered', 'delivered', 'opened', 'clicked'][1 + (hash(i, 1) % 4)::int] as event,
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
        for dataset, query in _DATASETS.items():
            world.con.execute(
                f"insert into raw.{dataset} by name select *, 1 as load_id from ({query.format(users=users)})"
            )
        seconds = {model.name: _seconds_of(world, model.name) for model in compiled.models}
        events, scan = _scan(world)
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
        (f"{label}: one raw scan of the events, every column", scan, "s"),
        (f"{label}: families / scan", of_families / scan, "x"),
        (
            f"{label}: with folding, user_360 and what they read / scan",
            (of_families + folding + of_a_date) / scan,
            "x",
        ),
        *((f"  of all models the slowest: {name}", taken, "s") for name, taken in slowest),
    ]


def _seconds_of(world: compiled_sql.World, model: str) -> float:
    started = time.perf_counter()
    world.build(_AS_OF, only=[model])
    return time.perf_counter() - started


def _scan(world: compiled_sql.World) -> tuple[int, float]:
    """Return how many events there are, and the median seconds of reading every column of them."""
    times = []
    for _ in range(_SCANS):
        started = time.perf_counter()
        row = world.con.execute("select count(*), bit_xor(hash(events)) from raw.events as events").fetchone()
        times.append(time.perf_counter() - started)
    return int(row[0]) if row else 0, statistics.median(times)
