"""What caps would have done to the contacts that were sent: those in force for the mart, proposed ones beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import duckdb
import numpy as np

from orchestration.measures.replay import ROLLING, WINDOWS, Booleans, Cap, Contacts, Integers, Replay
from orchestration.policy_rules import POLICY_SEGMENTS
from orchestration.settings import seed_rows

#: The policy of the project, as the mart calls it.
CURRENT = "current"
ALL = "all"
#: So many contacts are played at a time: they take about a gigabyte.
_CONTACTS_AT_A_TIME = 1_500_000
#: No calendar window begins earlier than so many days before a date in it.
_LONGEST_CALENDAR_WINDOW = 31
_SEGMENTS = len(POLICY_SEGMENTS)

_COUNT = "select count(*) from marts.fct_contacts where is_contact and contact_date between ? and ?"
#: Contacts in the order of the rules, each part those of some users. Those before the first date are not judged, and
#: count. Written once for all parts: each would read all contacts otherwise. The number of parts is of the type of a
#: hash, or else the rest is one of 128 bits, which takes three times as long.
_PLAYED = """
    create or replace temp table played_contacts as
    select
        hash(contacts.user_id) % $parts::ubigint as part,
        row_number() over sent - 1 as place,
        lag(contacts.user_id) over sent is distinct from contacts.user_id as is_first,
        contacts.message_id,
        contacts.contact_date - date '1970-01-01' as day,
        list_position($channels, contacts.channel) - 1 as channel,
        coalesce(list_position($segments, segments.policy_segment), 0) - 1 as segment,
        contacts.is_clicked
    from marts.fct_contacts as contacts
    left join (from intermediate.int_contact_segments where contact_date >= $first) as segments
        on contacts.user_id = segments.user_id and contacts.contact_date = segments.contact_date
    where contacts.is_contact and contacts.contact_date between $since and $last
    window sent as (
        partition by hash(contacts.user_id) % $parts::ubigint
        order by contacts.user_id, contacts.sent_at, contacts.message_id
    )
"""
_PLAYED_ORDERS = """
    create or replace temp table played_orders as
    select
        contacts.part,
        contacts.place,
        dense_rank() over (partition by contacts.part order by orders.order_id) - 1 as number,
        cast(orders.revenue * 100 as bigint) as cents
    from played_contacts as contacts
    inner join intermediate.int_message_orders as orders on contacts.message_id = orders.message_id
    where contacts.segment >= 0 and orders.revenue is not null
"""
_CONTACTS = "select is_first, day, channel, segment, is_clicked from played_contacts where part = ? order by place"
_ORDERS = "select place, number, cents from played_orders where part = ?"


class Outcome(NamedTuple):
    """What a policy would have done, by segment and channel; `ALL` stands for all of them. The columns of the mart."""

    policy: str
    windows: str
    segment: str
    channel: str
    contacts: int
    removed: int
    removed_share: float | None
    users: int
    users_over_before: int
    users_over_after: int
    clicks_touched: int
    revenue_touched: Decimal
    cost_saved: Decimal


@dataclass(frozen=True)
class Period:
    """The contacts that are judged: of the dates from ``first`` to ``last``. Those before them count, as they were."""

    first: date
    last: date


@dataclass(frozen=True)
class _Part:
    """Contacts of some users, whether they were clicked, and the orders that followed them."""

    contacts: Contacts
    is_clicked: Booleans
    order_place: Integers
    order_number: Integers
    order_cents: Integers


def cap_simulation(con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of the mart: what the caps in force would have done to the contacts of the measured days."""
    ((as_of,),) = con.execute("select as_of from marts.build_info").fetchall()
    period = Period(as_of - timedelta(days=policy["measures_days"] - 1), as_of)
    return [(as_of, *outcome) for outcome in simulate(con, {CURRENT: caps_in_force()}, period)]


def caps_in_force() -> list[Cap]:
    """Return the rows of the seed contact_policy."""
    return [cap_of(row) for row in seed_rows("contact_policy")]


def cap_of(row: Mapping[str, Any]) -> Cap:
    """Return the cap of a row of the seed, or of a file that stands for it."""
    return Cap(row["policy_segment"], row["channel"], int(row["window_days"]), int(row["max_contacts"]))


def simulate(
    con: duckdb.DuckDBPyConnection,
    policies: Mapping[str, Sequence[Cap]],
    period: Period,
    report: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Play the contacts of a period again under each policy, in rolling and in calendar windows.

    ``con`` is the file of a build, as the database in use. Rows are those with contacts, and that of everything.
    """
    costs = {row["channel"]: Decimal(row["message_cost"]) for row in seed_rows("channels")}
    channels = list(costs)
    replays = {
        (name, windows): Replay(caps, channels, windows) for name, caps in policies.items() for windows in WINDOWS
    }
    tallies = {key: _Tally(len(channels)) for key in replays}
    longest = max((cap.window_days for caps in policies.values() for cap in caps), default=0)
    since = period.first - timedelta(days=max(longest, _LONGEST_CALENDAR_WINDOW))
    for part in _parts(con, channels, period, since, report):
        for name in policies:
            # who is over a cap is told by rolling windows, however contacts were kept
            rolling = replays[name, ROLLING]
            before = rolling.over(part.contacts)
            for windows in WINDOWS:
                over = before if windows == ROLLING else replays[name, windows].over(part.contacts)
                kept = replays[name, windows].kept(part.contacts, over)
                after = np.zeros_like(kept)
                after[kept] = rolling.over(part.contacts.where(kept))
                tallies[name, windows].add(part, kept, before, after)
    return [
        outcome
        for (name, windows), tally in tallies.items()
        for outcome in tally.outcomes(name, windows, channels, list(costs.values()))
    ]


def _parts(
    con: duckdb.DuckDBPyConnection,
    channels: list[str],
    period: Period,
    since: date,
    report: Callable[[str], None],
) -> Iterator[_Part]:
    """Read the contacts, whole users at a time."""
    ((contacts,),) = con.execute(_COUNT, [since, period.last]).fetchall()
    parts = max(1, -(-contacts // _CONTACTS_AT_A_TIME))
    given = {
        "channels": channels,
        "segments": list(POLICY_SEGMENTS),
        "first": period.first,
        "last": period.last,
        "since": since,
        "parts": parts,
    }
    try:
        con.execute(_PLAYED, given)
        con.execute(_PLAYED_ORDERS)
        for part in range(parts):
            yield _part(con, part)
            report(f"Played {part + 1} of {parts} parts of {contacts:,} contacts")
    finally:
        con.execute("drop table if exists played_orders")
        con.execute("drop table if exists played_contacts")


def _part(con: duckdb.DuckDBPyConnection, part: int) -> _Part:
    rows = con.execute(_CONTACTS, [part]).fetchnumpy()
    orders = con.execute(_ORDERS, [part]).fetchnumpy()
    return _Part(
        Contacts(
            user=np.cumsum(rows["is_first"], dtype=np.int64) - 1,
            day=rows["day"].astype(np.int64),
            channel=rows["channel"].astype(np.int64),
            segment=rows["segment"].astype(np.int64),
        ),
        np.asarray(rows["is_clicked"], dtype=np.bool_),
        orders["place"].astype(np.int64),
        orders["number"].astype(np.int64),
        orders["cents"].astype(np.int64),
    )


class _Tally:
    """Sums by segment and channel, the last of each for all together."""

    def __init__(self, channels: int) -> None:
        self.channels = channels
        names = ("contacts", "removed", "clicks", "users", "users_before", "users_after", "cents")
        self._of = {name: np.zeros((_SEGMENTS + 1, channels + 1), dtype=np.int64) for name in names}

    def add(self, part: _Part, kept: Booleans, before: Booleans, after: Booleans) -> None:
        """Add what became of contacts: which were kept, and which were over a cap before and after."""
        judged, removed = part.contacts.segment >= 0, ~kept
        self._of["contacts"] += self._contacts(part, judged)
        self._of["removed"] += self._contacts(part, removed)
        self._of["clicks"] += self._contacts(part, removed & part.is_clicked)
        self._of["users"] += self._users(part, judged)
        self._of["users_before"] += self._users(part, before)
        self._of["users_after"] += self._users(part, after)
        self._of["cents"] += self._cents(part, removed[part.order_place])

    def outcomes(self, policy: str, windows: str, channels: list[str], costs: list[Decimal]) -> Iterator[Outcome]:
        """Yield the rows, ``costs`` being those of a message by channel."""
        for place, segment in enumerate([*POLICY_SEGMENTS, ALL]):
            for number, channel in enumerate([*channels, ALL]):
                found = {name: int(sums[place, number]) for name, sums in self._of.items()}
                contacts, removed = found["contacts"], found["removed"]
                if not contacts and (segment, channel) != (ALL, ALL):
                    continue
                saved = [int(n) * cost for n, cost in zip(self._of["removed"][place, :-1], costs, strict=True)]
                yield Outcome(
                    policy=policy,
                    windows=windows,
                    segment=segment,
                    channel=channel,
                    contacts=contacts,
                    removed=removed,
                    removed_share=round(removed / contacts, 6) if contacts else None,
                    users=found["users"],
                    users_over_before=found["users_before"],
                    users_over_after=found["users_after"],
                    clicks_touched=found["clicks"],
                    revenue_touched=Decimal(found["cents"]).scaleb(-2),
                    cost_saved=sum(saved, start=Decimal(0)) if channel == ALL else saved[number],
                )

    def _contacts(self, part: _Part, chosen: Booleans) -> Integers:
        found = np.zeros((_SEGMENTS + 1, self.channels + 1), dtype=np.int64)
        key = part.contacts.segment[chosen] * self.channels + part.contacts.channel[chosen]
        found[:-1, :-1] = np.bincount(key, minlength=_SEGMENTS * self.channels).reshape(_SEGMENTS, self.channels)
        found[-1, :-1] = found[:-1, :-1].sum(axis=0)
        found[:, -1] = found[:, :-1].sum(axis=1)
        return found

    def _users(self, part: _Part, chosen: Booleans) -> Integers:
        """Count who has such a contact: a user once in each cell, and once in all."""
        contacts = part.contacts.where(chosen)
        users = int(part.contacts.user.max(initial=-1)) + 1
        has = np.zeros((users, _SEGMENTS, self.channels), dtype=np.bool_)
        has[contacts.user, contacts.segment, contacts.channel] = True
        found = np.zeros((_SEGMENTS + 1, self.channels + 1), dtype=np.int64)
        found[:-1, :-1] = has.sum(axis=0)
        found[-1, :-1] = has.any(axis=1).sum(axis=0)
        found[:-1, -1] = has.any(axis=2).sum(axis=0)
        found[-1, -1] = has.any(axis=(1, 2)).sum()
        return found

    def _cents(self, part: _Part, chosen: Booleans) -> Integers:
        """Sum the orders after such a contact: an order once in each cell, and once in all."""
        place, number, cents = part.order_place[chosen], part.order_number[chosen], part.order_cents[chosen]
        segment, channel = part.contacts.segment[place], part.contacts.channel[place]
        orders = int(number.max(initial=-1)) + 1
        found = np.zeros((_SEGMENTS + 1, self.channels + 1), dtype=np.int64)
        for rows, columns in (
            (segment, channel),
            (np.full_like(segment, _SEGMENTS), channel),
            (segment, np.full_like(channel, self.channels)),
            (np.full_like(segment, _SEGMENTS), np.full_like(channel, self.channels)),
        ):
            cell = rows * (self.channels + 1) + columns
            _, first = np.unique(cell * orders + number, return_index=True)
            np.add.at(found, (rows[first], columns[first]), cents[first])
        return found
