"""A world of plain rows for benchmarks of models: as many users as wanted, put into raw tables without files."""

from __future__ import annotations

import time
from datetime import date

from tests import compiled_sql

AS_OF = date(2026, 6, 30)
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
#: ... and of users who can be reached on every channel, have got campaigns there, and were planned for some lately.
_REACHABLE = {
    "users": _DATASETS["users"].replace(
        "as email,", "as email, '+3361' || lpad((i % 10000000)::varchar, 7, '0') as phone,"
    ),
    "phone_numbers": """
        select '+3361' || lpad(i::varchar, 7, '0') as phone, country, '+3361' || lpad(i::varchar, 7, '0') as e164
        from range(least({users}, 10000000)) as t(i), (values (''), ('FR'), ('DE'), ('GB'), ('ES')) as c(country)
    """,
    "addresses": """
        select 'u' || i as user_id, channel, channel || ' of ' || (i // (1 + (hash(i) % 50 = 0)::int)) as address,
            'active' as status, timestamp '2025-07-01' as updated_at
        from range({users}) as t(i), (values ('push'), ('web_push'), ('telegram'), ('viber')) as c(channel)
        where hash(i, channel) % 3 = 0
    """,
    "consents": """
        select 'u' || i as user_id, channel, if(hash(i, channel) % 20 = 0, 'withdrawn', 'granted') as status,
            timestamp '2025-07-01' + to_seconds((hash(i, 5) % 31000000)::bigint) as occurred_at
        from range({users}) as t(i), (
            values ('email'), ('sms'), ('push'), ('web_push'), ('whatsapp'), ('telegram'), ('viber'), ('voice')
        ) as c(channel)
        where hash(i, channel) % 2 = 0
    """,
    "messages": """
        select
            'm' || i as message_id, 'u' || (hash(i) % {users}) as user_id,
            ['email', 'email', 'email', 'push', 'push', 'sms', 'web_push', 'whatsapp', 'in_app'][
                1 + (hash(i, 1) % 9)::int] as channel,
            ['abandoned_cart', 'reactivate_dormant', 'win_back_lapsed', 'news', 'offers'][
                1 + (hash(i, 4) % 5)::int] as campaign_id,
            timestamp '2026-06-30 12:00:00'
            - to_seconds((16000000 * pow((hash(i, 2) % 1000003) / 1000003.0, 2))::bigint) as sent_at
        from range({users} * 5) as t(i)
    """,
    "planned_contacts": """
        select date '2026-06-30' - (hash(i, 1) % 30)::int as plan_date, 'u' || i as user_id,
            'win_back_lapsed' as campaign_id, 'win_back_lapsed' as audience, 'email' as channel,
            'marketing' as message_class, 'a file' as file
        from range(0, {users}, 5) as t(i)
    """,
}


def fill(world: compiled_sql.World, users: int, is_reachable: bool = False) -> None:
    """Put the rows into the raw tables; ``is_reachable``: with addresses, consents and campaigns on every channel."""
    for dataset, query in {**_DATASETS, **(_REACHABLE if is_reachable else {})}.items():
        load = "" if dataset in ("phone_numbers", "planned_contacts") else ", 1 as load_id"
        world.con.execute(f"insert into raw.{dataset} by name select *{load} from ({query.format(users=users)})")


def seconds_of(world: compiled_sql.World, model: str) -> float:
    """Build one model as of the date, and return how long that took."""
    started = time.perf_counter()
    world.build(AS_OF, only=[model])
    return time.perf_counter() - started
