"""A shop of any size for benchmarks: landing files by month, as a shop's exports are, drawn by DuckDB from hashes.

The same scale gives the same files. Users come over two years; a visit has one to seven events, most of them without an
order; campaigns run every day. Files come day by day: 2 % of what a day brings is up to 30 days older, and a day more
brings 1/730 of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

#: The last day of the shop's files.
AS_OF = date(2026, 6, 30)
YEARS_OF_DAYS = 730
_LATE_SHARE = 0.02
_LATE_DAYS = 30
#: Rows a user, and visits: a hundred million events, ten million orders, forty million messages of two million users.
_ORDERS, _MESSAGES, _VISITS = 5, 20, 12.5
_PRODUCTS = 5_000

#: A number in [0, 1) that follows from the row and a letter alone.
_DRAW = "(hash({i}, '{of}') % 1099511627776) / 1099511627776.0"
_DATASETS = {
    "events": """
        with visits as (
            select
                i,
                {time} as began_at,
                {arrival} as arrived_at,
                {user} as user_number,
                unnest(range(1 + (hash(i, 'n') % 7)::int)) as n
            from range({first}, {last}) as t(i)
        ),
        drawn as (select *, hash(i, n) as h, i % 10 < 2 as is_anonymous from visits)
        select
            'e' || i || '-' || n as event_id,
            case when not is_anonymous then 'u' || user_number end as user_id,
            case when i % 3 = 0 or is_anonymous then 'd' || user_number end as anonymous_id,
            [
                'page', 'page', 'page', 'page', 'Product Viewed', 'Product Viewed', 'Product Viewed',
                'Products Searched', 'Product List Viewed', 'Product Added', 'Checkout Started', 'Application Opened'
            ][1 + (h % 12)::int] as event,
            began_at + to_seconds((n * 45)::bigint) as timestamp,
            arrived_at + to_seconds((n * 45 + 2)::bigint) as received_at,
            ['web', 'ios', 'android'][1 + (hash(i, 'p') % 3)::int] as platform,
            case when i % 2 = 0 then 's' || i end as session_id,
            case when h % 12 in (4, 5, 6, 9) then 'p' || (hash(i, n, 'q') % {products}) end as product_id,
            case when h % 5 = 0 then '{{"page": ' || (h % 100) || '}}' end as properties
        from drawn
    """,
    "orders": """
        select
            'o' || i as order_id,
            'u' || {user} as user_id,
            {time} as ordered_at,
            case i % 50 when 0 then 'cancelled' when 1 then 'refunded' else 'completed' end as status,
            (5 + (hash(i, 'g') % 20000) / 100)::decimal(18, 2) as gross_amount,
            case when i % 7 = 0 then 2.5 end::decimal(18, 2) as discount_amount,
            'EUR' as currency
        from range({first}, {last}) as t(i)
    """,
    "order_items": """
        select
            'o' || i as order_id, 1 as line_number, 'p' || (hash(i, 'q') % {products}) as product_id,
            1 as quantity, (5 + (hash(i, 'g') % 20000) / 100)::decimal(18, 2) as unit_price
        from range({first}, {last}) as t(i)
    """,
    "messages": """
        select
            'm' || i as message_id,
            'u' || {user} as user_id,
            ['email', 'email', 'email', 'email', 'email', 'push', 'push', 'push', 'sms', 'whatsapp'][
                1 + (hash(i, 'c') % 10)::int] as channel,
            ['one vendor', 'another'][1 + (hash(i, 'v') % 2)::int] as provider,
            [
                'abandoned_cart', 'reactivate_dormant', 'win_back_lapsed', 'second_visit', 'news', 'offers', 'season',
                'receipts'
            ][1 + (hash(i, 'k') % 8)::int] as campaign_id,
            case when hash(i, 'k') % 8 = 7 then 'transactional' else 'marketing' end as message_class,
            {time} as sent_at
        from range({first}, {last}) as t(i)
    """,
    "message_events": """
        with messages as (select i, {time} as sent_at, hash(i, 'r') % 1000 as r from range({first}, {last}) as t(i)),
        reactions as (
            select *, unnest(
                case
                    when r < 10 then ['bounced'] when r < 20 then ['delivered', 'clicked', 'opened']
                    when r < 190 then ['delivered', 'opened'] when r = 999 then ['delivered', 'unsubscribed']
                    else ['delivered']
                end
            ) as event
            from messages
        )
        select
            'x' || i || event as event_id,
            'm' || i as message_id,
            event,
            sent_at + to_seconds(case event when 'delivered' then 5 when 'bounced' then 9 else 600 + r * 60 end::bigint)
                as occurred_at,
            case when event = 'bounced' then 'hard' end as bounce_type
        from reactions
    """,
    "users": """
        select
            'u' || i as user_id,
            'u' || i || '@example.com' as email,
            case when i % 5 < 3 then '+3361' || lpad((i % 10000000)::varchar, 7, '0') end as phone,
            'First ' || (i % 977) as first_name,
            date '1950-01-01' + (hash(i, 'b') % 20000)::int as birth_date,
            ['female', 'male', null][1 + (hash(i, 'g') % 3)::int] as gender,
            ['FR', 'DE', 'GB', 'ES', null][1 + (hash(i, 'l') % 5)::int] as country,
            'city ' || (hash(i, 'y') % 60) as city,
            [['garden', 'books'], ['tea'], null][1 + (hash(i, 'v') % 3)::int] as interests,
            {joined} as created_at
        from range({users}) as t(i)
    """,
    "identities": """
        select 'd' || i as anonymous_id, 'u' || i as user_id, {joined} as linked_at
        from range({users}) as t(i) where i % 2 = 0
    """,
    "consents": """
        select 'u' || i as user_id, channel, if(hash(i, channel) % 20 = 0, 'withdrawn', 'granted') as status,
            {joined} + to_seconds((hash(i, 'w') % 100000)::bigint) as occurred_at
        from range({users}) as t(i),
            (values ('email', 80), ('push', 50), ('sms', 30), ('whatsapp', 20)) as c(channel, share)
        where hash(i, channel, 's') % 100 < share
    """,
    "addresses": """
        select 'u' || i as user_id, 'push' as channel, 'token ' || hash(i, 't') as address, 'active' as status,
            {joined} as updated_at
        from range({users}) as t(i) where i % 2 = 0
    """,
    "subscriptions": """
        select 's' || i as subscription_id, 'u' || i as user_id, {joined} as started_at,
            timestamp '2026-07-01' + to_days((hash(i) % 200)::int) as renews_at, hash(i, 'a') % 3 > 0 as auto_renew
        from range(0, {users}, 10) as t(i)
    """,
    "products": """
        select 'p' || i as product_id, 'Product ' || i as name, 'category ' || (i % 40) as category, 10 as price
        from range({products}) as t(i)
    """,
}
#: What comes day by day; everything else is a file of its own.
_BY_DAY = {
    "events": _VISITS,
    "orders": _ORDERS,
    "order_items": _ORDERS,
    "messages": _MESSAGES,
    "message_events": _MESSAGES,
}


@dataclass(frozen=True)
class Scale:
    """A size: users, and how many of the days before as_of have rows (each as many as a day of two years has)."""

    name: str
    users: int
    days: int = YEARS_OF_DAYS

    @property
    def first_day(self) -> date:
        """The first day that has rows."""
        return AS_OF - timedelta(days=self.days - 1)


SCALES = {scale.name: scale for scale in (Scale("s", 20_000), Scale("m", 200_000), Scale("l", 2_000_000))}


def write_history(landing: Path, scale: Scale) -> None:
    """Write the files of a scale up to AS_OF, below an empty folder."""
    with duckdb.connect() as con:
        for dataset in _DATASETS:
            if dataset not in _BY_DAY:
                _write(con, landing / dataset / f"{dataset}.parquet", _query(dataset, scale))
        for first, last in _months(scale.first_day, AS_OF):
            for dataset in _BY_DAY:
                path = landing / dataset / f"{first:%Y-%m}.parquet"
                _write(con, path, _query(dataset, scale, first, last))


def write_day(landing: Path, scale: Scale, number: int) -> None:
    """Write the files of the day that is ``number`` days after AS_OF."""
    day = AS_OF + timedelta(days=number)
    with duckdb.connect() as con:
        for dataset in _BY_DAY:
            _write(con, landing / dataset / "days" / f"{day}.parquet", _query(dataset, scale, day, day))


def _write(con: duckdb.DuckDBPyConnection, path: Path, query: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"copy ({query}) to '{path}' (format parquet)")


def _months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The first and the last day of each month, or of what is of it between two days."""
    while first <= last:
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield first, min(last, following - timedelta(days=1))
        first = following


def _query(dataset: str, scale: Scale, first: date = AS_OF, last: date = AS_OF) -> str:
    """The rows of a dataset between two days; rows are numbered from the first day of two years, so many a day."""
    start = AS_OF - timedelta(days=YEARS_OF_DAYS - 1)
    rows_a_day = scale.users * _BY_DAY.get(dataset, 0) / YEARS_OF_DAYS
    number = {day: (day - start).days for day in (first, last)}
    seconds = f"((i - {rows_a_day * number[first]:.0f}) / {max(rows_a_day, 1)} * 86400)::bigint"
    arrival = f"least(timestamp '{first}' + to_seconds({seconds}), timestamp '{last} 23:50:00')"
    days_late = f"(hash(i, 'late') % {round(1 / _LATE_SHARE)} = 0)::int * (hash(i, 'days') % {_LATE_DAYS})::int"
    # of the users who had come by then: from three tenths to all; who came early comes most
    come = f"{scale.users} * (0.3 + 0.7 * least(i / {max(rows_a_day * YEARS_OF_DAYS, 1)}, 1))"
    come_at = f"(i / {scale.users} - 0.3) / 0.7"
    return _DATASETS[dataset].format(
        first=round(rows_a_day * number[first]),
        last=round(rows_a_day * (number[last] + 1)),
        arrival=arrival,
        time=f"({arrival} - to_days({days_late}))",
        user=f"floor({come} * pow({_DRAW.format(i='i', of='u')}, 1.5))::bigint",
        joined=f"(timestamp '{start}' + to_seconds((greatest({come_at}, 0) * {YEARS_OF_DAYS * 86400})::bigint))",
        users=scale.users,
        products=_PRODUCTS,
    )
