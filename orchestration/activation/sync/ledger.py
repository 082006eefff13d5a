"""The sync ledger: what each provider has accepted, row by row, in the SQLite file of what the pipeline did.

Before a call its rows are marked as sent; after it they say what came of it. A row that is marked and has no outcome
was in a call that nobody saw the end of: it is ``unknown`` until it is settled.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from orchestration import clock
from orchestration.activation.destinations.interface import ACCEPTED, PENDING, REJECTED, UNKNOWN, Outcome
from orchestration.report.pipeline_runs import connect_activation

SET, REMOVE = "set", "remove"
_TABLES = """
    create table if not exists sync_ledger(
        destination text not null, audience text not null, key text not null, user_id text not null, channel text,
        plan_date text, target text not null, accepted_hash text, accepted_parts text, status text not null,
        operation text not null, is_sent integer not null, sent_hash text, sent_parts text, code text not null,
        is_permanent integer not null, once text, may_hold integer not null, must_remove text, at text not null,
        primary key (destination, audience, key)) without rowid;
    create index if not exists sync_ledger_by_user on sync_ledger(user_id);
    create table if not exists sync_targets(
        destination text not null, audience text not null, target text not null, type text not null,
        options text not null, audience_options text not null, names text not null, extract text,
        primary key (destination, audience, target)) without rowid;
    create table if not exists sync_vetoes(
        destination text not null, audience text not null, user_id text not null, reason text not null,
        primary key (destination, audience, user_id)) without rowid;
    create table if not exists sync_told(
        destination text not null, audience text not null, plan_date text not null, key text not null,
        user_id text not null, primary key (destination, audience, plan_date, key)) without rowid;
    create table if not exists sync_runs(
        run_id text not null, destination text not null, audience text not null, as_of text not null, started_at text
        not null, seconds real, candidates integer, rows integer, sent integer, accepted integer, rejected integer,
        pending integer, unknown integer, removed integer, vetoed integer, outcome text, guard text, reasons text,
        primary key (run_id, destination, audience)) without rowid;
"""
#: Columns of an entry, as they are read.
_ENTRY = (
    "key, user_id, channel, plan_date, target, accepted_hash, accepted_parts, status, operation, sent_hash, "
    "is_permanent, once, may_hold, must_remove"
)
_CHUNK = 10_000


class Entry(NamedTuple):
    """What is known of one key at a provider. ``may_hold``: whether the provider may have anything of it."""

    key: str
    user_id: str
    channel: str | None
    plan_date: str | None
    target: str
    accepted_hash: str | None
    accepted_parts: str | None
    status: str
    operation: str
    sent_hash: str | None
    is_permanent: int
    once: str | None
    may_hold: int
    must_remove: str | None


class Sending(NamedTuple):
    """A row about to be sent: what the ledger keeps of it.

    ``held_before``: `Entry.may_hold` until now; of a removal: whether the provider has ever accepted the row.
    ``said_once``: of a removal, what was said of the row once and must not be said again if it comes back.
    ``note`` is a code that stays with the row where it is accepted: what was to be said once may be lost.
    """

    key: str
    user_id: str
    channel: str | None = None
    hash: str | None = None
    parts: str | None = None
    once: str | None = None
    once_before: str | None = None
    held_before: int = 0
    note: str = ""
    said_once: str | None = None


@dataclass(frozen=True, slots=True)
class StoredTarget:
    """What a target was when rows were sent to it: enough to take them out when it is configured no longer.

    ``extract`` is the date of the extract they are of; None: of a list that is delivered whole nothing was yet.
    """

    audience: str
    target: str
    type: str
    options: Mapping[str, Any]
    audience_options: Mapping[str, Any]
    names: tuple[str, ...]
    extract: str | None


class Ledger:
    """The rows of one destination in an open file; used by one thread."""

    def __init__(self, con: sqlite3.Connection, destination: str) -> None:
        self._con, self._destination = con, destination

    # targets

    def targets(self) -> list[StoredTarget]:
        """Return every target that was ever sent to and may still hold rows."""
        rows = self._con.execute(
            "select audience, target, type, options, audience_options, names, extract from sync_targets "
            "where destination = ? order by audience, target",
            [self._destination],
        ).fetchall()
        return [
            StoredTarget(audience, target, type_, json.loads(o), json.loads(a), tuple(json.loads(n)), extract)
            for audience, target, type_, o, a, n, extract in rows
        ]

    def keep_target(self, stored: StoredTarget) -> None:
        """Remember a target before anything is sent to it."""
        with self._con:
            self._keep(stored)

    def _keep(self, stored: StoredTarget) -> None:
        self._con.execute(
            "insert or replace into sync_targets values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                self._destination,
                stored.audience,
                stored.target,
                stored.type,
                json.dumps(stored.options, sort_keys=True),
                json.dumps(stored.audience_options, sort_keys=True),
                json.dumps(stored.names),
                stored.extract,
            ],
        )

    def drop_target(self, audience: str, target: str) -> None:
        """Forget a target that is configured no longer, once nothing of it is left."""
        with self._con:
            self._con.execute(
                "delete from sync_targets where destination = ? and audience = ? and target = ? and not exists ("
                "select 1 from sync_ledger as l where l.destination = sync_targets.destination "
                "and l.audience = sync_targets.audience and l.target = sync_targets.target)",
                [self._destination, audience, target],
            )

    # entries

    def entries(self, audience: str) -> Iterator[Entry]:
        """Return the rows of an audience by key."""
        return self._read("audience = :audience", audience=audience)

    def to_remove(self, audience: str, target: str, today: str) -> Iterator[Entry]:
        """Return the rows of a target whose removal waits for nothing: the plan date is past, or the user erased or
        vetoed.
        """
        return self._read(
            "audience = :audience and target = :target and (must_remove is not null or plan_date < :today or user_id "
            "in (select user_id from sync_vetoes where destination = :destination and audience = :audience))",
            audience=audience,
            target=target,
            today=today,
        )

    def of_other_targets(self, audience: str, target: str) -> Iterator[Entry]:
        """Return the rows of an audience that were sent to another target than it has now."""
        return self._read("audience = :audience and target <> :target", audience=audience, target=target)

    def _read(self, condition: str, **values: Any) -> Iterator[Entry]:
        """Read in chunks of keys: no transaction is open while calls are made, and what is done already is not seen."""
        after = ""
        while True:
            rows = self._con.execute(
                f"select {_ENTRY} from sync_ledger where destination = :destination and key > :after "
                f"and ({condition}) order by key limit {_CHUNK}",
                {"destination": self._destination, "after": after, **values},
            ).fetchall()
            yield from map(Entry._make, rows)
            if len(rows) < _CHUNK:
                return
            after = rows[-1][0]

    def lookup(self, audience: str, keys: Sequence[str]) -> dict[str, Entry]:
        """Return the entries of some keys that have one."""
        rows = self._con.execute(
            f"select {_ENTRY} from sync_ledger where destination = ? and audience = ? "
            "and key in (select value from json_each(?))",
            [self._destination, audience, json.dumps(keys)],
        )
        return {row[0]: Entry(*row) for row in rows}

    def told(self, audience: str, plan_date: str | None) -> set[str]:
        """Return the keys that were told once what they must not be told again for a plan date, and taken out since."""
        found = self._con.execute(
            "select key from sync_told where destination = ? and audience = ? and plan_date = ?",
            [self._destination, audience, plan_date],
        )
        return {key for (key,) in found}

    def forget_told(self, plan_date: str) -> None:
        """Forget what was told for plan dates before one."""
        with self._con:
            self._con.execute(
                "delete from sync_told where destination = ? and plan_date < ?", [self._destination, plan_date]
            )

    def is_empty(self, audience: str, target: str) -> bool:
        """Whether nothing of a target is known."""
        found = self._read("audience = :audience and target = :target", audience=audience, target=target)
        return next(found, None) is None

    def users(self) -> Iterator[tuple[str, str, str | None]]:
        """Return (audience, user_id, channel) of every row."""
        yield from self._con.execute(
            "select audience, user_id, channel from sync_ledger where destination = ?", [self._destination]
        )

    def vetoed(self, audience: str) -> set[str]:
        """Return the users who may not be in an audience by all that is loaded."""
        found = self._con.execute(
            "select user_id from sync_vetoes where destination = ? and audience = ?", [self._destination, audience]
        )
        return {user for (user,) in found}

    def keep_vetoes(self, vetoes: Iterable[tuple[str, str, str]]) -> None:
        """Put (audience, user_id, reason) in the place of the vetoes that were known."""
        with self._con:
            self._con.execute("delete from sync_vetoes where destination = ?", [self._destination])
            self._con.executemany(
                "insert or ignore into sync_vetoes values (?, ?, ?, ?)",
                ((self._destination, *veto) for veto in vetoes),
            )

    def forget_vetoes(self, audience: str) -> None:
        """Forget the vetoes of users of whom nothing is left, once an audience is synced: each run looks anew."""
        with self._con:
            self._con.execute(
                "delete from sync_vetoes where destination = ?1 and audience = ?2 and user_id not in "
                "(select user_id from sync_ledger where destination = ?1 and audience = ?2)",
                [self._destination, audience],
            )

    def settle_interrupted(self, at: str) -> int:
        """Mark rows as unknown whose call nobody saw the end of; return how many."""
        with self._con:
            return self._con.execute(
                "update sync_ledger set status = ?, is_sent = 0, may_hold = 1, code = 'interrupted', at = ? "
                "where destination = ? and is_sent = 1",
                [UNKNOWN, at, self._destination],
            ).rowcount

    def adopt(self, stored: StoredTarget, keys: Sequence[str], at: str) -> None:
        """Remember a target together with the members that its list had before; who they are is not known."""
        with self._con:
            self._keep(stored)
            self._con.executemany(
                "insert or ignore into sync_ledger(destination, audience, key, user_id, target, status, operation, "
                "is_sent, code, is_permanent, may_hold, at) values (?, ?, ?, '', ?, ?, ?, 0, 'found_in_list', 0, 1, ?)",
                ((self._destination, stored.audience, key, stored.target, UNKNOWN, SET, at) for key in keys),
            )

    def forget(self, audience: str, keys: Iterable[str]) -> None:
        """Delete rows of which the provider has nothing."""
        with self._con:
            self._con.executemany(
                "delete from sync_ledger where destination = ? and audience = ? and key = ?",
                ((self._destination, audience, key) for key in keys),
            )

    def _said(self, audience: str, target: str, plan_date: str | None, row: Sending) -> tuple[str | None, ...]:
        """Return what every statement that enters a row begins with."""
        return (self._destination, audience, row.key, row.user_id, row.channel, plan_date, target)

    def begin_set(
        self,
        audience: str,
        target: str,
        plan_date: str | None,
        rows: Sequence[Sending],
        at: str,
        is_back: bool = False,
    ) -> None:
        """Mark rows as sent to be members, before the call; with ``is_back`` also those that had to go before."""
        with self._con:
            self._con.executemany(
                "insert into sync_ledger(destination, audience, key, user_id, channel, plan_date, target, status, "
                "operation, is_sent, sent_hash, sent_parts, code, is_permanent, once, may_hold, at) "
                f"values (?, ?, ?, ?, ?, ?, ?, '{PENDING}', '{SET}', 1, ?, ?, '', 0, ?, 1, ?) "
                "on conflict do update set user_id = excluded.user_id, channel = excluded.channel, "
                "plan_date = excluded.plan_date, target = excluded.target, status = excluded.status, "
                "operation = excluded.operation, is_sent = 1, sent_hash = excluded.sent_hash, "
                "sent_parts = excluded.sent_parts, code = '', is_permanent = 0, "
                "once = coalesce(excluded.once, sync_ledger.once), may_hold = 1, at = excluded.at"
                + (", must_remove = null" if is_back else ""),
                ((*self._said(audience, target, plan_date, row), row.hash, row.parts, row.once, at) for row in rows),
            )

    def begin_remove(self, audience: str, rows: Sequence[Sending], at: str) -> None:
        """Mark rows as sent to be taken out, before the call."""
        with self._con:
            self._con.executemany(
                f"update sync_ledger set status = '{PENDING}', operation = '{REMOVE}', is_sent = 1, code = '', "
                "is_permanent = 0, at = ? where destination = ? and audience = ? and key = ?",
                ((at, self._destination, audience, row.key) for row in rows),
            )

    def finish(
        self, audience: str, operation: str, rows: Sequence[Sending], outcomes: Mapping[str, Outcome], at: str
    ) -> None:
        """Say what came of rows, after the call. What was taken out is known no longer."""
        gone, told, accepted, others, open_again = [], [], [], [], []
        for row in rows:
            outcome = outcomes[row.key]
            where = (self._destination, audience, row.key)
            is_stranger = outcome.status == REJECTED and outcome.is_permanent and not row.held_before
            if operation == REMOVE and (outcome.status == ACCEPTED or is_stranger):
                gone.append(where)
                if row.said_once is not None:
                    told.append((self._destination, audience, row.said_once, row.key, row.user_id))
            elif outcome.status == ACCEPTED:
                accepted.append((row.note, at, *where))
            else:
                # nothing was taken: the provider holds what it held before
                holds = row.held_before if outcome.is_untouched and operation == SET else 1
                others.append((outcome.status, outcome.code, int(outcome.is_permanent), holds, at, *where))
                if row.once is not None and outcome.status in (PENDING, REJECTED):
                    open_again.append((row.once_before, *where))
        of_row = "where destination = ? and audience = ? and key = ?"
        with self._con:
            self._con.executemany("insert or ignore into sync_told values (?, ?, ?, ?, ?)", told)
            self._con.executemany(f"delete from sync_ledger {of_row}", gone)
            self._con.executemany(
                f"update sync_ledger set status = '{ACCEPTED}', is_sent = 0, accepted_hash = sent_hash, "
                f"accepted_parts = sent_parts, code = ?, at = ? {of_row}",
                accepted,
            )
            self._con.executemany(
                "update sync_ledger set status = ?, is_sent = 0, code = ?, is_permanent = ?, may_hold = ?, at = ? "
                f"{of_row}",
                others,
            )
            self._con.executemany(f"update sync_ledger set once = ? {of_row}", open_again)

    def refuse(
        self,
        audience: str,
        target: str,
        plan_date: str | None,
        rows: Sequence[tuple[Sending, str]],
        at: str,
    ) -> None:
        """Enter rows that are not sent, each with a code: the provider would drop or cut them without a word."""
        with self._con:
            self._con.executemany(
                "insert into sync_ledger(destination, audience, key, user_id, channel, plan_date, target, status, "
                "operation, is_sent, sent_hash, code, is_permanent, may_hold, at) "
                f"values (?, ?, ?, ?, ?, ?, ?, '{REJECTED}', '{SET}', 0, ?, ?, 1, 0, ?) "
                "on conflict do update set status = excluded.status, operation = excluded.operation, "
                "sent_hash = excluded.sent_hash, code = excluded.code, is_permanent = 1, at = excluded.at",
                ((*self._said(audience, target, plan_date, row), row.hash, code, at) for row, code in rows),
            )

    def finish_list(self, audience: str, at: str) -> None:
        """Say of a list that was delivered whole that all of it that was marked is as it was marked."""
        where = "where destination = ? and audience = ? and is_sent = 1 and operation = ?"
        with self._con:
            self._con.execute(f"delete from sync_ledger {where}", [self._destination, audience, REMOVE])
            self._con.execute(
                f"update sync_ledger set status = '{ACCEPTED}', is_sent = 0, accepted_hash = sent_hash, "
                f"accepted_parts = sent_parts, at = ? {where}",
                [at, self._destination, audience, SET],
            )

    # runs

    def last_candidates(self, audience: str) -> int | None:
        """Return how many candidates an audience had when additions were last let through; None before the first."""
        row = self._con.execute(
            "select candidates from sync_runs where destination = ? and audience = ? and guard is null "
            "and candidates is not null order by started_at desc limit 1",
            [self._destination, audience],
        ).fetchone()
        return None if row is None else int(row[0])

    def keep_run(self, run: Mapping[str, Any], is_only_if_new: bool = False) -> None:
        """Keep what a sync of an audience came to; ``run`` has the columns of sync_runs but the destination.

        ``is_only_if_new``: what this run has kept of it already stays.
        """
        otherwise = "ignore" if is_only_if_new else "replace"
        named = {"destination": self._destination, **run}
        with self._con:
            self._con.execute(
                f"insert or {otherwise} into sync_runs({', '.join(named)}) "
                f"values ({', '.join(f':{name}' for name in named)})",
                named,
            )


def now() -> str:
    """Return the time as the ledger keeps it."""
    return clock.now().isoformat(sep=" ", timespec="microseconds")


@contextmanager
def open_ledger(file: Path) -> Iterator[sqlite3.Connection]:
    """Open the file of the ledger; whoever holds it may write while others read."""
    with closing(connect_activation(file)) as con:
        con.executescript(_TABLES)
        yield con


def mark_erased(file: Path, users: Iterable[str]) -> int:
    """Note that rows of erased users must go from every provider, whatever else fails; return how many rows.

    The ids stay in the ledger until the providers have taken them out: without them nobody could.
    """
    if not file.exists():
        return 0
    users = list(users)
    with open_ledger(file) as con, con:
        con.executemany("delete from sync_told where user_id = ?", ((user,) for user in users))
        # who is about to be sent by a run that goes on is seen by its next look at the vetoes
        con.executemany(
            "insert or replace into sync_vetoes select destination, audience, ?, 'erased' from sync_targets",
            ((user,) for user in users),
        )
        return con.executemany(
            "update sync_ledger set must_remove = 'erased' where user_id = ?", ((user,) for user in users)
        ).rowcount


def forget_runs(file: Path, now: datetime, days: int) -> int:
    """Delete the records of syncs that began longer ago than ``days``; the last of each audience stays: guards need it.

    What providers have accepted is no record, and stays whatever its age.
    """
    if not file.exists():
        return 0
    with open_ledger(file) as con, con:
        return con.execute(
            "delete from sync_runs where started_at < ? and exists (select 1 from sync_runs as later "
            "where later.destination = sync_runs.destination and later.audience = sync_runs.audience "
            "and later.started_at > sync_runs.started_at and later.guard is null)",
            [(now - timedelta(days=days)).isoformat(sep=" ", timespec="microseconds")],
        ).rowcount


def has_news(file: Path, since: datetime | None) -> bool:
    """Whether a sync that began later than ``since`` sent anything, or could not send all: that is to be published."""
    after = "" if since is None else since.isoformat(sep=" ", timespec="microseconds")
    with open_ledger(file) as con:
        found = con.execute(
            "select 1 from sync_runs where started_at > ? and (sent > 0 or outcome <> 'complete') limit 1", [after]
        )
        return found.fetchone() is not None


def destinations_of(con: sqlite3.Connection) -> list[str]:
    """Return the names of the destinations that may still hold rows, sorted."""
    rows = con.execute("select distinct destination from sync_targets order by destination").fetchall()
    return [name for (name,) in rows]
