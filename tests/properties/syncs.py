"""Random stories of days at a faulty provider: `python -m tests.properties.syncs --scripts 2000` tries as many.

A script is a few days of one destination: people come, leave, change and are forgotten, nights make no extract, guards
stop audiences, and the provider loses connections, is busy, refuses rows or goes away; some syncs are killed. What must
hold is asked after every sync, and in the end, when the faults are mended, whether all has arrived and nothing is left.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pytest

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations import KINDS
from orchestration.activation.destinations.interface import ACCEPTED, SEGMENTS, Patience, Target, Value
from orchestration.activation.sync import ledger
from orchestration.activation.sync.ledger import REMOVE, Ledger, mark_erased, open_ledger
from orchestration.activation.sync.sync import Report, Situation, TargetSync, build, retire_stale
from orchestration.settings import ROOT
from tests.standins.batch import BatchStandIn
from tests.standins.braze import BrazeStandIn
from tests.standins.brevo import BrevoStandIn
from tests.standins.extracts import config_of, write_extract
from tests.standins.klaviyo import KlaviyoStandIn
from tests.standins.onesignal import OneSignalStandIn
from tests.standins.sendgrid import SendGridStandIn
from tests.standins.server import FAULTS, Faults, StandIn
from tests.standins.webhook import WebhookStandIn

Rows = dict[str, dict[str, Any]]
Place = tuple[str, str]
AUDIENCES = (SEGMENTS, "winback", "vip")
NAME = "here"
FIRST = date(2026, 6, 1)
#: Syncs without faults after which nothing may be left to do.
MOST_SYNCS = 3
_ROWS = 3
#: Files opened, renamed and so on: how many for each call at which a sync of another kind would be killed.
_FILES_A_KILL = 4
#: What destinations are given here: rates are tested with each of them, waits are not waited for.
_PATIENCE = Patience(3, 0.001, 0.05, 5.0, 0.001, 1.0, second=0.001)
_NO_TIME = 1e-9
_NAMES = {
    SEGMENTS: ("tier", "score", "is_new", "ratio", "valid_date"),
    "winback": ("winback_variant", "winback_hour"),
    "vip": ("vip_variant", "vip_channel"),
}
_TEXTS = ("gold", "Größe", 'a;b,"c"', "=1+1", "two words", "it's", "x" * 20)
_USERS = ("u1", "u2", "u/3", "ü 4", "700000005", "u+6", "u7", "U7")
_PHONE = "+4915112345678"


class Provider(Protocol):
    """What a script goes to: a stand-in, or a folder."""

    problems: list[str]

    def options(self) -> dict[str, Any]:
        """Return the options of the destination."""

    def audience_options(self, audience: str) -> dict[str, Any]:
        """Return the options of an audience."""

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        """Return the members of a target with their attributes."""


class Folder:
    """The folder of the files destination, read as its users would."""

    environment: Mapping[str, str] = {}

    def __init__(self, data: Path) -> None:
        self.problems: list[str] = []
        self._data = data

    def options(self) -> dict[str, Any]:
        return {"url": "lists", "formats": ["jsonl"], "addresses": ["email"]}

    def audience_options(self, audience: str) -> dict[str, Any]:
        return {}

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        file = self._data / "lists" / NAME / f"{target.audience}.jsonl"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        rows = [json.loads(line) for line in lines]
        return {row["user_id"]: {name: row[name] for name in names if row.get(name) is not None} for row in rows}

    def seen(self) -> list[Any]:
        """Return what changes when a file is written."""
        files = sorted((self._data / "lists").rglob("*"))
        return [(str(file), file.stat().st_mtime_ns, file.stat().st_ino) for file in files if file.is_file()]


@dataclass
class Deadly(Faults):
    """Faults of which one is the end of the process that syncs: at its n-th call, which is taken or is not."""

    kills_at: int = 0
    pid: int | None = None
    is_taken: bool = True

    def next(self) -> str | None:
        found = super().next()
        if self.pid is not None and self._calls >= self.kills_at:
            os.kill(self.pid, signal.SIGKILL)
            return None if self.is_taken else "cut_before"
        return found


@dataclass
class Step:
    """A sync and what it finds: an extract (or none, or that of the step before), vetoes, guards, faults."""

    as_of: date
    lists: Mapping[str, Rows] | None
    names: Mapping[str, tuple[str, ...]]
    places: Mapping[str, int]
    vetoes: frozenset[tuple[str, str]]
    erased: frozenset[str]
    guard: str | None = None
    only_removals: bool = False
    faults: Faults | None = None
    kills_at: int | None = None


@dataclass
class Story:
    """A script: its steps, the keys that the provider never takes, and whether others may stay in the segments."""

    kind: str
    steps: list[Step]
    bad_keys: frozenset[str]
    mode: str


@dataclass
class Tried:
    """What was tried: scripts, syncs, processes killed, calls or files, and how many syncs were needed at the end."""

    scripts: int = 0
    syncs: int = 0
    kills: int = 0
    calls: int = 0
    events: int = 0
    faults: int = 0
    needed: Counter[int] = field(default_factory=Counter)

    def add(self, other: Tried) -> None:
        """Count what another tried."""
        for name in ("scripts", "syncs", "kills", "calls", "events", "faults"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.needed += other.needed


# stories


def names_of(kind: str) -> dict[str, tuple[str, ...]]:
    """Return the names of attributes by audience, as a kind of destination takes them."""
    if kind != "sendgrid":
        return dict(_NAMES)
    numbers = iter(range(1, 100))
    return {audience: tuple(f"e{next(numbers)}_T" for _ in names) for audience, names in _NAMES.items()}


def story_of(kind: str, seed: int) -> Story:
    """Return the story of a number, always the same."""
    chooser = random.Random(f"{kind} {seed}")
    names, has_lists = names_of(kind), kind in ("brevo", "klaviyo", "batch")
    is_by_email = KINDS[kind].key == "email"
    emails = {user: f"person{n}@example.com" for n, user in enumerate(_USERS)}
    members = {audience: {user for user in _USERS if chooser.random() < 0.6} for audience in AUDIENCES}
    values = {user: {} for user in _USERS}  # type: dict[str, dict[str, Value]]
    used, places, vetoes, erased = dict(names), dict.fromkeys(AUDIENCES, 0), set[tuple[str, str]](), set[str]()
    for user in _USERS:
        _change(chooser, names, values[user], 1.0)
    bad = {user for user in _USERS if chooser.random() < 0.08} if chooser.random() < 0.5 else set()
    # a key that is bad for ever: an address, of whoever has it, or a user
    bad_keys = frozenset(emails[user] if is_by_email else user for user in bad) if kind != "files" else frozenset[str]()
    steps: list[Step] = []
    as_of, days = FIRST, chooser.choice((3, 3, 3, 4, 4, 5, 6))
    last: Mapping[str, Rows] | None = None
    for day in range(days):
        for part in range(chooser.choice((1, 1, 1, 1, 2, 3))):
            is_last = day == days - 1
            for number, user in enumerate(_USERS):
                if chooser.random() < 0.3:
                    _change(chooser, names, values[user], 0.5)
                if chooser.random() < 0.1:
                    emails[user] = f"person{number}.{len(steps)}@example.com"
                elif chooser.random() < 0.05:
                    emails[user] = emails[chooser.choice(_USERS)]
                for audience in AUDIENCES:
                    if chooser.random() < 0.2:
                        members[audience] ^= {user}
                    if chooser.random() < 0.04:
                        vetoes ^= {(audience, user)}
                if chooser.random() < 0.02:
                    erased.add(user)
            if chooser.random() < 0.15:
                audience = chooser.choice(AUDIENCES)
                used = {**used, audience: chooser.choice((names[audience], names[audience][1:], names[audience][:1]))}
            if has_lists and chooser.random() < 0.1:
                places = {**places, chooser.choice(AUDIENCES): len(steps) + 1}
            if part == 0 and not is_last and chooser.random() < 0.15:
                last = None
            elif part == 0 or chooser.random() < 0.5:
                last = {
                    audience: _rows(chooser, members[audience] - erased, names[audience], values, emails, is_by_email)
                    for audience in AUDIENCES
                }
            # who was erased, or withdrew, after the extract was written is still in it
            steps.append(
                Step(
                    as_of,
                    last,
                    used,
                    places,
                    frozenset(vetoes | {(audience, user) for user in erased for audience in AUDIENCES}),
                    frozenset(erased),
                    chooser.choice(("blocked", "fallen")) if not is_last and chooser.random() < 0.12 else None,
                    not is_last and chooser.random() < 0.08,
                    _faults(chooser, bad_keys),
                    chooser.randint(1, 20) if chooser.random() < 0.12 else None,
                )
            )
        as_of += timedelta(days=1)
    mode = "upsert" if kind != "files" and chooser.random() < 0.15 else "mirror"
    return Story(kind, steps, bad_keys, mode)


def _change(chooser: random.Random, names: Mapping[str, Sequence[str]], values: dict[str, Value], share: float) -> None:
    plain = {SEGMENTS: _NAMES[SEGMENTS], "winback": _NAMES["winback"], "vip": _NAMES["vip"]}
    for audience, known in plain.items():
        for name, said in zip(known, names[audience], strict=True):
            if chooser.random() > share:
                continue
            made: dict[str, Value] = {
                "score": chooser.randint(-5, 10**12),
                "is_new": chooser.random() < 0.5,
                "ratio": chooser.randint(1, 999) / 8,
                "valid_date": f"2026-07-{chooser.randint(10, 28)}",
                "winback_hour": chooser.randint(0, 23),
            }
            values[said] = None if chooser.random() < 0.25 else made.get(name, chooser.choice(_TEXTS))


def _rows(
    chooser: random.Random,
    users: set[str],
    names: Sequence[str],
    values: Mapping[str, Mapping[str, Value]],
    emails: Mapping[str, str],
    is_by_email: bool,
) -> Rows:
    """Return the rows of an extract; of those who share a key one is in it."""
    rows: Rows = {}
    taken: set[str] = set()
    for user in sorted(users):
        if is_by_email and emails[user] in taken:
            continue
        taken.add(emails[user])
        email = emails[user] if is_by_email or chooser.random() < 0.9 else None
        rows[user] = {"email": email, **{name: values[user].get(name) for name in names}}
    return rows


def _faults(chooser: random.Random, bad_keys: frozenset[str]) -> Faults:
    if chooser.random() < 0.3:
        return Faults(bad_keys=bad_keys)
    return Deadly(
        seed=chooser.randrange(10**6),
        share=chooser.choice((0.0, 0.1, 0.3, 0.6)),
        kinds=tuple(chooser.sample(FAULTS, chooser.randint(1, len(FAULTS)))),
        row_share=chooser.choice((0.0, 0.0, 0.3)),
        bad_keys=bad_keys,
        stops_after=chooser.choice((None, None, chooser.randint(0, 20))),
        pause=0.002,
    )


# the world of a script


def provider_of(kind: str, seed: int, data: Path) -> Any:
    """Return the provider of a script, in one of the ways that it may be."""
    chooser = random.Random(f"provider {kind} {seed}")
    is_plain = chooser.random() < 0.5
    match kind:
        case "batch":
            return BatchStandIn(speed=1 / _NO_TIME, looks=chooser.randint(0, 2))
        case "braze":
            return BrazeStandIn(speed=1 / _NO_TIME, says_row=is_plain)
        case "brevo":
            return BrevoStandIn(second=_NO_TIME)
        case "klaviyo":
            return KlaviyoStandIn(second=_NO_TIME, names_rows=is_plain)
        case "onesignal":
            return OneSignalStandIn(speed=1 / _NO_TIME)
        case "sendgrid":
            return SendGridStandIn(second=_NO_TIME)
        case "webhook":
            stand_in = WebhookStandIn()
            stand_in.rows = _ROWS
            return stand_in
    return Folder(data)


#: Kinds that scripts are made of.
STAND_INS = (
    BatchStandIn,
    BrazeStandIn,
    BrevoStandIn,
    KlaviyoStandIn,
    OneSignalStandIn,
    SendGridStandIn,
    WebhookStandIn,
)
TRIED_KINDS = ("batch", "braze", "brevo", "files", "klaviyo", "onesignal", "sendgrid", "webhook")


@contextmanager
def hurried() -> Iterator[None]:
    """Let destinations make calls of few rows, as fast as they can, and find their secrets."""
    with pytest.MonkeyPatch.context() as patch:
        for stand_in in STAND_INS:
            for name, value in stand_in.environment.items():
                patch.setenv(name, value)
        for kind in TRIED_KINDS:
            of_kind: Any = KINDS[kind]
            patch.setattr(of_kind, "limits", replace(of_kind.limits, rows=_ROWS, concurrency=2))
            if hasattr(of_kind, "rates"):
                patch.setattr(of_kind, "rates", dict.fromkeys(of_kind.rates, ((10**9, 1.0),)))
        connect = ledger.connect_activation

        def without_waiting(file: Path) -> sqlite3.Connection:
            """Connect as ever, but leave it to the system when what is written is on the disk."""
            con = connect(file)
            con.execute("pragma synchronous = off")
            return con

        patch.setattr(ledger, "connect_activation", without_waiting)
        yield


class World:
    """The data folder of a script and its provider."""

    def __init__(self, story: Story, seed: int, folder: Path, shared: Shared) -> None:
        self._others = set(threading.enumerate())
        self.story, self.folder, self.shared = story, folder, shared
        self.provider = provider_of(story.kind, seed, folder)
        self.tried = Tried(scripts=1)
        self.extracts, self.ledger_file = folder / "extracts", folder / "a.sqlite"
        self._runs = 0
        self._written: object = None
        self._old_places: set[tuple[str, int]] = set()
        #: Keys wanted on a plan date, by audience, and of the segments ever.
        self._wanted_of_day: dict[tuple[str, date], set[str]] = {}
        self._ever: set[str] = set()
        self._all_names = names_of(story.kind)

    @property
    def is_http(self) -> bool:
        """Whether calls can be counted."""
        return isinstance(self.provider, StandIn)

    def config(self, step: Step) -> DestinationConfig:
        """Return the destination as it is configured at a step."""
        targets = [
            TargetConfig(audience, tuple((name, name) for name in step.names[audience]), self._place(audience, step))
            for audience in AUDIENCES
        ]
        options = self.provider.options()
        if self.story.kind == "braze":
            options["rows"] = _ROWS
        return config_of(self.story.kind, options, targets, NAME, mode=self.story.mode, max_fall=0.5)

    def _place(self, audience: str, step: Step) -> dict[str, Any]:
        return self._options_at(audience, step.places[audience])

    def _options_at(self, audience: str, number: int) -> dict[str, Any]:
        """Return the options of an audience; ``number`` tells lists apart that it has had."""
        known = AUDIENCES.index(audience)
        match self.story.kind:
            case "brevo":
                return {"list": 1 + (known + 3 * number) % 9}
            case "klaviyo":
                self.provider.lists.setdefault(f"L{known}.{number}", set())
                return {"list": f"L{known}.{number}"}
            case "batch":
                return {"audience": f"{audience}_{number}"}
        found: dict[str, Any] = self.provider.audience_options(audience)
        return found if audience != SEGMENTS else {}

    def situation(self, step: Step) -> Situation:
        """Return what a sync goes by."""
        self._runs += 1
        return Situation(
            f"run {self._runs:03d}",
            self.extracts,
            self.folder,
            step.as_of,
            step.as_of + timedelta(days=1),
            "a check failed" if step.guard == "blocked" else None,
            frozenset(),
            _PATIENCE,
        )

    def prepare(self, step: Step) -> DestinationConfig:
        """Write what a step finds."""
        config = self.config(step)
        now = (step.lists, step.as_of, step.guard, step.names)
        if step.lists is not None and now != self._written:
            self._written = now
            candidates = 10 if step.guard == "fallen" else 100
            write_extract(self.extracts, step.as_of, config, step.lists, candidates, self.shared.reader)
        mark_erased(self.ledger_file, sorted(step.erased))
        with open_ledger(self.ledger_file) as con:
            Ledger(con, NAME).keep_vetoes((audience, user, "no_consent") for audience, user in sorted(step.vetoes))
        for audience in AUDIENCES:
            self._old_places.add((audience, step.places[audience]))
            keys = {self.key(user, row) for user, row in (step.lists or {}).get(audience, {}).items()}
            self._wanted_of_day.setdefault((audience, step.as_of), set()).update(keys)
            self._ever |= keys if audience == SEGMENTS else set()
        return config

    def key(self, user: str, row: Mapping[str, Any]) -> str:
        """Return what the provider knows a row by."""
        return str(row["email"]) if KINDS[self.story.kind].key == "email" else user

    def wanted(self, step: Step, audience: str) -> dict[str, dict[str, Value]]:
        """Return the members that the provider shall have, with their attributes."""
        found = {
            self.key(user, row): {name: row[name] for name in step.names[audience] if row[name] is not None}
            for user, row in (step.lists or {}).get(audience, {}).items()
            if (audience, user) not in step.vetoes
        }
        has_empty = self.story.kind in ("brevo", "klaviyo", "webhook", "files")
        has_empty |= self.story.kind == "batch" and audience != SEGMENTS
        return {key: row for key, row in found.items() if row or has_empty}

    def held(self, step: Step, audience: str) -> dict[str, dict[str, Value]]:
        """Return what the provider has."""
        plan_date = None if audience == SEGMENTS else (step.as_of + timedelta(days=1)).isoformat()
        target = Target(audience, plan_date, self._place(audience, step))
        state: dict[str, dict[str, Value]] = self.provider.state(target, self._all_names[audience])
        return state

    def entries(self, audience: str) -> dict[str, Any]:
        """Return the ledger's rows of an audience by key."""
        with open_ledger(self.ledger_file) as con:
            return {entry.key: entry for entry in Ledger(con, NAME).entries(audience)}

    # one sync

    def sync(self, step: Step) -> list[Report] | None:
        """Sync every audience; None where it was killed."""
        config, situation = self.prepare(step), self.situation(step)
        self.tried.syncs += 1
        if self.is_http:
            self.provider.faults = step.faults or Faults()
            self.provider._quiet_until = 0.0
        before = len(self.provider.requests) if self.is_http else 0
        try:
            if step.kills_at is not None:
                return self._killed(step, config, situation)
            return sync_all(config, situation, self.ledger_file, step.only_removals, self.shared.reader)
        finally:
            if self.is_http:
                self.tried.calls += len(self.provider.requests) - before
                _wait_for_calls(self._others)

    def _killed(self, step: Step, config: DestinationConfig, situation: Situation) -> list[Report] | None:
        assert step.kills_at is not None
        log, faults = self.folder / "child.log", step.faults
        kills_at = None
        if self.is_http:
            more = vars(faults) if isinstance(faults, Deadly) else {"bad_keys": self.story.bad_keys}
            known = {name: value for name, value in more.items() if not name.startswith("_")}
            faults = Deadly(**{**known, "kills_at": step.kills_at, "is_taken": step.kills_at % 2 == 0})
            self.provider.faults = faults
        else:
            kills_at = step.kills_at * _FILES_A_KILL

        def knows(pid: int) -> None:
            if isinstance(faults, Deadly):
                faults.pid = pid

        work = (config, situation, self.ledger_file, step.only_removals, kills_at, log)
        ended = self.shared.nursery.run(work, knows)
        if isinstance(faults, Deadly):
            faults.pid = None
        if log.exists():
            self.shared.logged.texts.append(log.read_text(encoding="utf-8"))
        assert ended in (0, -signal.SIGKILL), f"the process that syncs ended with {ended}"
        self.tried.kills += ended != 0
        return None

    # what must hold

    def check(self, step: Step, reports: list[Report] | None) -> None:
        """Ask what must hold after any sync, however it went."""
        faults = step.faults or Faults()
        is_calm = reports is not None and not (faults.share or faults.row_share or faults.stops_after is not None)
        for number, audience in enumerate(AUDIENCES):
            held, entries = self.held(step, audience), self.entries(audience)
            unknown = {key for key in held if key not in entries or not entries[key].may_hold}
            assert not unknown, f"{audience}: the provider has {unknown}, of whom the ledger knows nothing"
            wanted = self.wanted(step, audience)
            report = reports[number] if reports is not None and not step.only_removals else None
            is_whole = report is not None and not report.guards and report.tally.stopped is None
            if is_whole and step.lists is not None:
                for key, row in wanted.items():
                    entry = entries.get(key)
                    assert entry is not None, f"{audience}: {key} is wanted, and forgotten"
                    if entry.status == "accepted":
                        assert held.get(key) == row, f"{audience}: {key} is {held.get(key)}, was said to be {row}"
            if is_calm:
                self._check_gone(step, audience, held, entries)
            if is_calm and is_whole and step.lists is not None:
                self._check_same(step, audience, held)
        assert not self.provider.problems, self.provider.problems
        if self.story.kind == "braze":
            counts = Counter(
                (event["external_id"], event["properties"]["audience"], event["properties"]["plan_date"])
                for event in self.provider.events
            )
            assert max(counts.values(), default=1) == 1, f"events sent twice: {counts.most_common(3)}"

    def _check_gone(self, step: Step, audience: str, held: Mapping[str, Any], entries: Mapping[str, Any]) -> None:
        if audience != SEGMENTS:
            late = set(held) - self._wanted_of_day[(audience, step.as_of)] - self.story.bad_keys
            assert not late, f"{audience}: {late} are of another day"
        left = {
            key
            for key, entry in entries.items()
            if (audience, entry.user_id) in step.vetoes and key in held and key not in self.story.bad_keys
        }
        assert not left, f"{audience}: {left} may not be there"

    def _check_same(self, step: Step, audience: str, held: Mapping[str, dict[str, Value]]) -> None:
        wanted = self.wanted(step, audience)
        may_stay = self.story.bad_keys
        if self.story.mode == "upsert":
            allowed = self._ever if audience == SEGMENTS else self._wanted_of_day[(audience, step.as_of)]
            may_stay |= allowed - set(wanted)
        found = {key: row for key, row in held.items() if key not in may_stay}
        expected = {key: row for key, row in wanted.items() if key not in may_stay}
        differs = {
            key: (found.get(key), expected.get(key))
            for key in {*found, *expected}
            if found.get(key) != expected.get(key)
        }
        assert not differs, f"{audience}: has, and should have: {differs}"

    def settle(self, step: Step) -> None:
        """Sync without faults until nothing is left; then all must be as wanted, and no call be made."""
        step = replace(step, faults=Faults(bad_keys=self.story.bad_keys), kills_at=None)
        number = 0
        while True:
            number += 1
            before = self._traces()
            reports = self.sync(step)
            assert reports is not None
            self.check(step, reports)
            if self._traces() == before or self._only_refused_removals_are_left():
                break
            assert number < MOST_SYNCS, f"calls are made still by sync {number} without faults"
        self.tried.needed[number - 1] += 1
        for report, audience in zip(reports, AUDIENCES, strict=True):
            entries, wanted = self.entries(audience), self.wanted(step, audience)
            for key in self.story.bad_keys & set(wanted):
                entry = entries[key]
                assert (entry.status, entry.is_permanent) == ("rejected", 1), f"{audience}: {key} is {entry.status}"
                assert report.tally.rejected, f"{audience}: a refused row is not in the report"
            others = {key for key in wanted if entries[key].status != "accepted"} - self.story.bad_keys
            assert not others, f"{audience}: {others} are not settled"
        self._check_old_places(step)

    def _check_old_places(self, step: Step) -> None:
        now = {str(self._place(audience, step)) for audience in AUDIENCES}
        for audience, number in self._old_places:
            options = self._options_at(audience, number)
            if str(options) in now or self.story.kind not in ("brevo", "klaviyo", "batch"):
                continue
            if self.story.kind == "batch":
                there = self.provider.audiences.get(options["audience"], set()) if audience != SEGMENTS else set()
            else:
                there = self.provider.state(Target(audience, None, options), ())
            assert not set(there) - self.story.bad_keys, f"{audience}: {set(there)} are in its old list"

    def _only_refused_removals_are_left(self) -> bool:
        """Whether nothing is open but who may be at the provider, since an answer was lost, and is refused for ever.

        That is tried again by every sync: nobody knows whether there is anything to take out.
        """
        left = [
            entry for audience in AUDIENCES for entry in self.entries(audience).values() if entry.status != ACCEPTED
        ]
        removals = [entry for entry in left if entry.operation == REMOVE]
        return bool(removals) and all(entry.key in self.story.bad_keys and entry.is_permanent for entry in left)

    def _traces(self) -> object:
        return len(self.provider.requests) if self.is_http else self.provider.seen()

    def heal(self, step: Step) -> Step:
        """Return a day on which nobody is refused any more, and every row is another."""
        plain = {
            said: name
            for audience in AUDIENCES
            for name, said in zip(_NAMES[audience], self._all_names[audience], strict=True)
        }
        changed = {
            audience: {
                user: {**row, **{name: _other(row[name], plain[name]) for name in step.names[audience]}}
                for user, row in rows.items()
            }
            for audience, rows in (step.lists or {}).items()
        }
        self.story.bad_keys = frozenset()
        return replace(step, as_of=step.as_of + timedelta(days=1), lists=changed, guard=None, only_removals=False)


def _other(value: Value, name: str) -> Value:
    """Return another value of an attribute, of the same type."""
    match value:
        case None:
            return {"score": 1, "winback_hour": 1, "is_new": True, "ratio": 0.5}.get(name, "2026-08-01")
        case bool():
            return not value
        case int() | float():
            return value + 1
    return "2026-08-02"


def _wait_for_calls(others: set[threading.Thread]) -> None:
    """Wait until the provider has seen the end of all connections: what a dead process has sent may still come.

    ``others`` are threads of providers of other tests.
    """
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not any("process_request" in thread.name for thread in set(threading.enumerate()) - others):
            return
        time.sleep(0.001)


def sync_all(
    config: DestinationConfig,
    situation: Situation,
    file: Path,
    only_removals: bool,
    reader: duckdb.DuckDBPyConnection,
) -> list[Report]:
    """Sync all audiences as a run does, or only take out who must go."""
    reports = []
    with open_ledger(file) as con, closing(build(config, situation)) as destination:
        stale = [] if only_removals else retire_stale(Ledger(con, config.name), config.name, config, situation)
        for target in config.targets:
            sync = TargetSync(con, reader, config, target, situation)
            reports.append(sync.remove_what_must_go(destination) if only_removals else sync.run(destination, stale))
    return reports


def sync_until_killed(
    config: DestinationConfig, situation: Situation, file: Path, only_removals: bool, kills_at: int | None, log: Path
) -> None:
    """Sync in a process of its own; ``kills_at``: files opened, renamed or removed until it kills itself."""
    logging.basicConfig(filename=log, level=logging.DEBUG, force=True)
    if kills_at is not None:
        left = kills_at

        def count(event: str, args: tuple[Any, ...]) -> None:
            nonlocal left
            if event.startswith(("open", "os.")) and args and str(args[0]).startswith(str(situation.data / "lists")):
                left -= 1
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
    with duckdb.connect(config={"threads": 1}) as reader:
        sync_all(config, situation, file, only_removals, reader)
    logging.shutdown()


class Nursery:
    """A process without threads, of which those that will be killed are forked off."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", "from tests.properties import syncs; syncs.serve()"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def run(self, work: tuple[Any, ...], knows: Callable[[int], None]) -> int:
        """Let `sync_until_killed` be called with ``work`` once ``knows`` was told its process; return how it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        pickle.dump(work, self._process.stdin)
        self._process.stdin.flush()
        knows(int(self._process.stdout.readline()))
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def serve() -> None:
    """Fork a process for each piece of work that comes in, and say how it ended, until no more comes."""
    come, said = sys.stdin.buffer, sys.stdout
    with duckdb.connect(config={"threads": 1}) as con:
        # what it imports the first time takes longer than a sync
        con.execute("select ?", ["x"]).fetchall()
    with hurried():
        while True:
            try:
                work = pickle.load(come)
            except EOFError:
                return
            reads, writes = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.read(reads, 1)
                try:
                    sync_until_killed(*work)
                except BaseException:
                    traceback.print_exc()
                    os._exit(1)
                # what libraries and threads do at their end is of no use here
                os._exit(0)
            print(pid, file=said, flush=True)
            come.read(1)
            os.write(writes, b"\n")
            os.close(reads)
            os.close(writes)
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=said, flush=True)


class _Logged(logging.Handler):
    """All that is logged, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class Shared:
    """What all scripts of a process have: a reader of extracts, a nursery of processes, and all that is logged."""

    def __init__(self) -> None:
        self.reader = duckdb.connect(config={"threads": 1})
        self.nursery = Nursery()
        self.logged = _Logged()

    def close(self) -> None:
        """Let go of it."""
        self.reader.close()
        self.nursery.close()


@contextmanager
def shared() -> Iterator[Shared]:
    """Open what scripts share, and let calls be fast meanwhile."""
    root, common = logging.getLogger(), Shared()
    level = root.level
    root.addHandler(common.logged)
    root.setLevel(logging.DEBUG)
    try:
        with hurried(), closing(common):
            yield common
    finally:
        root.removeHandler(common.logged)
        root.setLevel(level)


def try_script(kind: str, seed: int, folder: Path, common: Shared) -> Tried:
    """Play a script; AssertionError says its kind, number and step where something does not hold."""
    story = story_of(kind, seed)
    world = World(story, seed, folder, common)
    common.logged.texts.clear()
    at: object = "the beginning"
    with world.provider if isinstance(world.provider, StandIn) else closing(_Nothing()):
        try:
            for number, step in enumerate(story.steps):
                at = f"step {number}"
                world.check(step, world.sync(step))
            at = "the end"
            last = story.steps[-1]
            world.settle(last)
            if story.bad_keys:
                at = "the day after"
                world.settle(world.heal(last))
        except Exception as error:
            raise AssertionError(f"{kind} {seed}, {at}: {type(error).__name__}: {error}") from error
    said = "\n".join(common.logged.texts)
    with open_ledger(world.ledger_file) as con:
        said += json.dumps(con.execute("select * from sync_runs").fetchall())
    private = [*world.provider.environment.values(), "@example.com", _PHONE, "@EXAMPLE"]
    found = [word[:4] for word in private if word in said]
    assert not found, f"{kind} {seed}: what is logged or kept of runs holds a secret or an address: {found}"
    if kind == "braze":
        world.tried.events = len(world.provider.events)
    return world.tried


class _Nothing:
    def close(self) -> None:
        return


def main(arguments: Sequence[str] | None = None) -> None:
    """Play scripts and print what was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripts", type=int, default=2000, help="how many scripts to play (default: 2000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (default: 0)")
    parser.add_argument("--kind", choices=TRIED_KINDS, nargs="+", default=TRIED_KINDS, help="kinds (default: all)")
    options = parser.parse_args(arguments)
    started, total, failures = time.perf_counter(), Tried(), 0
    with shared() as common:
        for number in range(options.scripts):
            kind = options.kind[number % len(options.kind)]
            with tempfile.TemporaryDirectory() as folder:
                try:
                    total.add(try_script(kind, options.first + number // len(options.kind), Path(folder), common))
                except AssertionError as error:
                    failures += 1
                    print(error, flush=True)  # noqa: T201
    needed = ", ".join(f"{count:,} after {syncs}" for syncs, count in sorted(total.needed.items()))
    print(  # noqa: T201
        f"{total.scripts:,} scripts, {total.syncs:,} syncs, {total.kills:,} processes killed, {total.calls:,} calls, "
        f"{total.events:,} events; settled: {needed} syncs; {failures} failed; {time.perf_counter() - started:,.0f} s"
    )
    raise SystemExit(failures > 0)


if __name__ == "__main__":
    main()
