"""One audience at one destination: what must go goes first, then guards are asked, then the difference is sent."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations import KINDS
from orchestration.activation.destinations.interface import (
    ACCEPTED,
    OUTGOING,
    REJECTED,
    SEGMENTS,
    Destination,
    Patience,
    Row,
    Target,
    Value,
    WholeDestination,
    WrongSettings,
    rejected,
)
from orchestration.activation.extracts import ListState, list_state
from orchestration.activation.folders.local import make_private
from orchestration.activation.sync import outgoing
from orchestration.activation.sync.courier import Courier, Parcel, Tally, Unreachable
from orchestration.activation.sync.decide import is_said, merged
from orchestration.activation.sync.extract_file import ExtractFile, changed_since, copied, normalised, parts_of
from orchestration.activation.sync.guards import INCOMPLETE, Facts, Guard, guards
from orchestration.activation.sync.ledger import REMOVE, SET, Entry, Ledger, Sending, StoredTarget, now

_CHUNK = 5_000


@dataclass(frozen=True)
class Situation:
    """What a sync goes by. ``blocked``: why additions must wait for people; ``allowed``: guards let through."""

    run_id: str
    extracts: Path
    data: Path
    as_of: date
    today: date
    blocked: str | None = None
    allowed: frozenset[str] = frozenset()
    patience: Patience | None = None

    @property
    def plan_date(self) -> date:
        """The date that plan lists are for."""
        return self.as_of + timedelta(days=1)


@dataclass
class Report:
    """What came of an audience. ``rows``: of its extract; None where there was none to read."""

    destination: str
    audience: str
    tally: Tally = field(default_factory=Tally)
    guards: list[Guard] = field(default_factory=list)
    rows: int | None = None
    candidates: int | None = None
    shared_key: int = 0
    seconds: float = 0.0
    #: Of a place that is given up: whether rows are left there that another try may take out.
    is_left: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the provider has accepted all that is wanted now."""
        tally = self.tally
        return not (self.guards or tally.stopped or tally.rejected or tally.pending or tally.unknown)

    @property
    def outcome(self) -> str:
        """A word for it: ``complete``, ``stopped`` (by a guard), ``partial`` or ``failed`` (nothing could be sent)."""
        if self.guards:
            return "stopped"
        if self.tally.stopped is not None:
            return "failed"
        return "complete" if self.is_complete else "partial"


@dataclass(frozen=True)
class Preview:
    """What a sync would do: rows to set and to remove, how many of each, and whether a guard would stop them.

    ``is_empty_list``: a list with nobody in it is to be delivered.
    """

    destination: str
    audience: str
    rows: int | None
    new: int
    changed: int
    removed: int
    removed_always: int
    vetoed: int
    is_empty_list: bool
    guards: tuple[Guard, ...]
    examples: tuple[tuple[str, Row], ...]


def build(config: DestinationConfig, situation: Situation) -> Destination:
    """Return the destination that a configuration describes; nothing is called yet."""
    return _build(config.kind, config.name, config.options, situation)


def _build(kind: type[Destination], name: str, options: Mapping[str, Any], situation: Situation) -> Destination:
    return kind(name, {**options, "base": str(situation.data)} if kind.is_whole else options, situation.patience)


def fingerprint_of(config: DestinationConfig, target: TargetConfig) -> str:
    """Return what tells whether rows lie at the same place at the provider; how they are sent is no part of it."""
    of_place = config.kind.place
    options = ({name: given[name] for name in given.keys() & of_place} for given in (config.options, target.options))
    place = [config.kind.type, *options]
    return hashlib.sha256(json.dumps(place, sort_keys=True, default=str).encode()).hexdigest()[:16]


class _Changes(NamedTuple):
    """Of a list that is delivered whole: its rows, those that are new or say something else, and those that go."""

    rows: int
    said: int
    gone: int


class TargetSync:
    """The sync of one audience at one destination.

    ``con`` is the open file of the ledger, ``reader`` a DuckDB connection in memory that reads extracts.
    """

    def __init__(
        self,
        con: sqlite3.Connection,
        reader: duckdb.DuckDBPyConnection,
        config: DestinationConfig,
        target: TargetConfig,
        situation: Situation,
    ) -> None:
        self._reader = reader
        self._config, self._target_config, self._situation = config, target, situation
        self._ledger = Ledger(con, config.name)
        self._fingerprint = fingerprint_of(config, target)
        self._is_plan = target.audience != SEGMENTS
        self._plan_date = situation.plan_date.isoformat() if self._is_plan else None
        self._target = Target(target.audience, self._plan_date, target.options)
        self.report = Report(config.name, target.audience)
        place = (target.audience, self._fingerprint)
        self._own = next((each for each in self._ledger.targets() if (each.audience, each.target) == place), None)
        told = self._own.names if self._own else ()
        self._names = tuple(sorted({*told, *target.names}))
        self._has_noted = False

    def run(self, destination: Destination, retired: Sequence[Report] = ()) -> Report:
        """Send what differs; an error of the provider is in the report and stops this audience alone.

        ``retired`` is what `retire_stale` came to, of all audiences: the report has it too, and while rows are left
        there nobody is sent to a place that the audience has not had before. Rows that the provider refuses to take out
        for ever keep nobody else waiting.
        """
        started, at = time.perf_counter(), now()
        self._ledger.settle_interrupted(at)
        self._ledger.forget_told(self._situation.plan_date.isoformat())
        courier = Courier(destination, self._target, self._fingerprint, self._ledger, self.report.tally)
        try:
            if not isinstance(destination, WholeDestination):
                # trouble at another place must not keep anybody here
                self._remove(courier, self._must_go())
            left = sorted({each.audience for each in retired if each.is_left})
            if left and self._own is None:
                raise Unreachable(
                    f"{', '.join(left)} could not be taken out of a place it had before; that comes first."
                )
            if isinstance(destination, WholeDestination):
                self._send_whole(destination)
            else:
                self._send_difference(destination, courier)
        except Exception as error:  # also of the destination's code: it stops this audience, and no other
            self.report.tally.stopped = self.report.tally.stopped or error
        for each in retired:
            if each.audience == self._target.audience:
                self.report.tally.absorb(each.tally)
        self._ledger.forget_vetoes(self._target.audience)
        self.report.seconds = round(time.perf_counter() - started, 3)
        self._ledger.keep_run(run_of(self.report, self._situation, at))
        return self.report

    def remove_what_must_go(self, destination: Destination) -> Report:
        """Send the removals that wait for nothing, and nothing else."""
        started, at = time.perf_counter(), now()
        self._ledger.settle_interrupted(at)
        try:
            if isinstance(destination, WholeDestination):
                self._rewrite_without(destination)
            else:
                courier = Courier(destination, self._target, self._fingerprint, self._ledger, self.report.tally)
                self._remove(courier, self._must_go())
        except Exception as error:  # also of the destination's code: it stops this audience, and no other
            self.report.tally.stopped = self.report.tally.stopped or error
        self._ledger.forget_vetoes(self._target.audience)
        self.report.seconds = round(time.perf_counter() - started, 3)
        if self.report.tally.sent or self.report.tally.stopped:
            self._ledger.keep_run(run_of(self.report, self._situation, at), is_only_if_new=True)
        return self.report

    def preview(self, examples: int) -> Preview:
        """Return what `run` would send; no call is made and nothing is remembered."""
        audience = self._target.audience
        must_go = {entry.key for entry in self._must_go() if entry.may_hold}
        # what lies at another place is taken out of it first
        elsewhere = list(self._ledger.of_other_targets(audience, self._fingerprint))
        must_go |= {entry.key for entry in elsewhere if entry.may_hold}
        new = changed = removed = vetoed = 0
        shown: list[tuple[str, Row]] = []
        found = self._guards_of(None)
        file = self._extract()
        if file is not None:
            with_entry: dict[str, str] = {}
            vetoes = self._ledger.vetoed(audience)
            for wanted, entry in merged(file.wanted(), self._ledger.entries(audience)):
                self.report.rows = (self.report.rows or 0) + (wanted is not None)
                if wanted is None:
                    assert entry is not None
                    if entry.key not in must_go and entry.may_hold and self._config.mode == "mirror":
                        removed += 1
                        if len(shown) < examples:
                            shown.append((REMOVE, Row(entry.key, entry.user_id)))
                elif wanted.user_id in vetoes:
                    vetoed += 1
                    is_of_another = entry is not None and entry.user_id != wanted.user_id and entry.may_hold
                    removed += bool(is_of_another and wanted.key not in must_go and self._config.mode == "mirror")
                elif entry is None or entry.key in must_go or not is_said(entry, wanted.hash):
                    is_new = entry is None or entry.accepted_hash is None
                    new, changed = new + is_new, changed + (not is_new)
                    if len(with_entry) < examples:
                        with_entry[wanted.key] = "add" if is_new else "change"
            file.note(with_entry)
            shown = [(with_entry[row.key], row) for row, _, _ in file.noted()] + shown
        shown = [*((REMOVE, Row(key, key)) for key in sorted(must_go)[:examples]), *shown][:examples]
        return Preview(
            self._config.name,
            audience,
            self.report.rows,
            new,
            changed,
            removed,
            len(must_go),
            vetoed,
            file is not None
            and issubclass(self._config.kind, WholeDestination)
            and self._is_new_list
            and (self.report.rows or 0) == vetoed,
            tuple(found),
            tuple(shown),
        )

    # what must go

    @property
    def _today(self) -> str:
        return self._situation.today.isoformat()

    def _must_go(self) -> Iterator[Entry]:
        """Return the rows whose removal waits for nothing."""
        return self._ledger.to_remove(self._target.audience, self._fingerprint, self._today)

    def _remove(self, courier: Courier, entries: Iterable[Entry]) -> None:
        """Take rows out; those of which the provider has nothing are forgotten without a call."""
        plan_date = self._situation.plan_date
        courier.send(REMOVE, removals(self._ledger, self._target.audience, entries, self._names, plan_date))

    # the difference

    def _extract(self) -> ExtractFile | None:
        """Return the extract of the audience, None where it can't be used at all."""
        state = self._state
        if state is None:
            return None
        self.report.candidates, self.report.shared_key = state.candidates, state.shared_key
        return ExtractFile(self._reader, state.file, self._names, self._plan_date)

    @cached_property
    def _state(self) -> ListState | None:
        """What the manifest says of the extract; its file is read whole to see that it is as it was written."""
        situation = self._situation
        is_trusted = INCOMPLETE in situation.allowed
        return list_state(
            situation.extracts, situation.as_of, self._config.name, self._target.audience, is_trusted=is_trusted
        )

    def _guards_of(self, destination: Destination | None) -> list[Guard]:
        """Return what stops additions and ordinary removals. Without a destination the provider is not asked."""
        audience = self._target.audience
        state = self._state
        is_first = self._own is None and self._config.mode == "mirror" and self._is_new_place()
        is_unknown = False
        if is_first and self._config.kind.has_list and not self._config.starts_empty and destination is not None:
            members = destination.members(self._target)
            is_unknown = members is None
            if members is not None:
                # listed to the end before anything is kept: a listing that failed half-way is made again
                keys = list(members)
                self._ledger.adopt(self._stored(), keys, now())
        return guards(
            Facts(
                self._situation.plan_date,
                self._situation.today,
                self._situation.blocked,
                state is not None,
                None if state is None else state.candidates,
                self._ledger.last_candidates(audience),
                self._config.max_fall,
                is_unknown,
            ),
            self._situation.allowed,
        )

    def _is_new_place(self) -> bool:
        return self._ledger.is_empty(self._target.audience, self._fingerprint)

    def _send_difference(self, destination: Destination, courier: Courier) -> None:
        if self.report.tally.stopped is not None:
            return
        self.report.guards = self._guards_of(None)
        file = None if self.report.guards else self._extract()
        if file is None:
            return
        is_prepared = False

        def ready() -> bool:
            """Ask and prepare the provider before the first call, and not on a day without one."""
            nonlocal is_prepared
            if not is_prepared:
                is_prepared = True
                destination.prepare(self._target)
                self.report.guards = self._guards_of(destination)
                if not self.report.guards:
                    self._keep_target()
            return not self.report.guards

        if self._own is None and not ready():
            return
        self._remove(courier, self._not_wanted(file))
        if self._has_noted and ready():
            courier.send(SET, self._to_set(file, destination))

    def _keep_target(self) -> None:
        self._ledger.keep_target(self._stored())

    def _stored(self) -> StoredTarget:
        config, target = self._config, self._target_config
        return StoredTarget(
            target.audience,
            self._fingerprint,
            config.kind.type,
            config.options,
            target.options,
            self._names,
            self._situation.as_of.isoformat(),
        )

    def _not_wanted(self, file: ExtractFile) -> Iterator[Entry]:
        """Return the rows that are not wanted any more; what is to be set is noted in the file on the way."""
        vetoes = self._ledger.vetoed(self._target.audience)
        noted: list[str] = []
        rows = 0
        for wanted, entry in merged(file.wanted(), self._ledger.entries(self._target.audience)):
            rows += wanted is not None
            if wanted is None:
                if entry is not None and self._config.mode == "mirror":
                    yield entry
                continue
            if wanted.user_id in vetoes:
                self.report.tally.vetoed += 1
                if entry is not None and entry.user_id != wanted.user_id and self._config.mode == "mirror":
                    # it is of somebody who had the key before, and is wanted no longer
                    yield entry
                continue
            # what could not be removed is not set: it lies at another place, or waits for its removal
            if entry is not None and (entry.must_remove or entry.target != self._fingerprint):
                continue
            if entry is None or not is_said(entry, wanted.hash):
                noted.append(wanted.key)
                self._has_noted = True
                if len(noted) >= _CHUNK:
                    file.note(noted)
                    noted.clear()
            elif entry.status != ACCEPTED:
                self.report.tally.rejected += 1
                self.report.tally.reasons[(SET, entry.status, "refused_before")] += 1
        file.note(noted)
        self.report.rows = rows

    def _to_set(self, file: ExtractFile, destination: Destination) -> Iterator[Parcel]:
        """Return the noted rows as they are sent; what the provider would drop or cut is refused here, with a code."""
        says_once = destination.says_once(self._target)
        told = self._ledger.told(self._target.audience, self._plan_date) if says_once else set()
        for chunk in _chunks(file.noted()):
            entries = self._ledger.lookup(self._target.audience, [row.key for row, _, _ in chunk])
            # what another run has loaded since this one began: an hour may have passed
            vetoes = self._ledger.vetoed(self._target.audience)
            refused: list[tuple[Sending, str]] = []
            for row, hash_, channel in chunk:
                entry = entries.get(row.key)
                if row.user_id in vetoes or (entry is not None and entry.must_remove):
                    self.report.tally.vetoed += 1
                    continue
                is_tried = row.key in told or (entry is not None and entry.once == self._plan_date)
                once = self._plan_date if says_once and not is_tried else None
                parcel = self._parcel(row, hash_, channel, entry, once, destination)
                if isinstance(parcel, str):
                    refused.append((Sending(row.key, row.user_id, channel, hash_), parcel))
                    self.report.tally.add(SET, rejected(parcel), is_sent=False)
                else:
                    yield parcel
            if refused:
                self._ledger.refuse(self._target.audience, self._fingerprint, self._plan_date, refused, now())

    def _parcel(
        self,
        row: Row,
        hash_: str,
        channel: str | None,
        entry: Entry | None,
        once: str | None,
        destination: Destination,
    ) -> Parcel | str:
        normal = normalised(row, self._config.kind.key)
        if isinstance(normal, str):
            return normal
        is_sure = entry is not None and entry.status == ACCEPTED
        uses_changes = self._config.kind.uses_changes
        changed = changed_since(row.attributes, entry.accepted_parts) if uses_changes and entry and is_sure else None
        said = Row(normal.key, normal.user_id, normal.addresses, normal.attributes, changed, once)
        code = destination.refuse(self._target, said)
        if code is not None:
            return code
        return Parcel(
            said,
            Sending(
                row.key,
                row.user_id,
                channel,
                hash_,
                parts_of(row.attributes) if uses_changes else None,
                once,
                entry.once if entry else None,
                entry.may_hold if entry else 0,
            ),
        )

    # lists that are delivered whole

    @property
    def _is_new_list(self) -> bool:
        """Whether the list was never taken or has other columns now: then it is delivered with nobody in it too."""
        own = self._own
        return own is None or own.extract is None or set(self._names) != set(own.names)

    def _send_whole(self, destination: WholeDestination) -> None:
        """Deliver the list, if anything in it differs from what was delivered."""
        self.report.guards = self._guards_of(None)
        file = None if self.report.guards else self._extract()
        if file is None:
            self._rewrite_without(destination)
            return
        vetoes = self._ledger.vetoed(self._target.audience)
        own = self._own
        is_new = self._is_new_list
        if own is None:
            # whoever is erased from now on is noted for it; it has no extract until something of it is delivered
            self._ledger.keep_target(replace(self._stored(), extract=None))
        self.report.rows = count = file.count()

        def is_outdated() -> bool:
            """Whether another run has noted more vetoes since they were read."""
            more = self._ledger.vetoed(self._target.audience) - vetoes
            vetoes.update(more)
            return bool(more)

        def begin(changes: _Changes) -> bool:
            self.report.tally.vetoed = count - changes.rows
            if changes.said or changes.gone:
                # the marks have it tried again, and who must go is taken out of this extract
                self._keep_target()
                return True
            return is_new

        changes = self._deliver(
            destination,
            lambda copy: file.copy_without(copy, vetoes),
            self._plan_date,
            self._names,
            begin=begin,
            is_outdated=is_outdated,
        )
        if is_new:
            # only now: where no row is marked, nothing else would have it tried again
            self._keep_target()
        self.report.tally.sent = changes.said + changes.gone
        self.report.tally.accepted, self.report.tally.removed = changes.said, changes.gone

    def _rewrite_without(self, destination: WholeDestination) -> None:
        """Deliver what was delivered before without whoever must go; without its extract an empty list.

        Nobody is better than somebody who has said no.
        """
        audience = self._target.audience
        must_go = {entry.key for entry in self._must_go()}
        if not must_go or self._own is None:
            return
        kept = {entry.key: entry.accepted_hash for entry in self._ledger.entries(audience) if entry.key not in must_go}
        write: Callable[[Path], None] | None = None
        plan_date = self._plan_date
        if kept and self._own.extract is not None:
            as_of = date.fromisoformat(self._own.extract)
            state = list_state(self._situation.extracts, as_of, self._config.name, audience)
            plan_date = (as_of + timedelta(days=1)).isoformat() if self._is_plan else None
            if state is not None:
                file = ExtractFile(self._reader, state.file, self._own.names, plan_date)
                write = partial(file.copy_known, hashes=kept)
        self._deliver(destination, write, plan_date, self._own.names)
        self.report.tally.removed = self.report.tally.sent = len(must_go)

    def _deliver(
        self,
        destination: WholeDestination,
        write: Callable[[Path], None] | None,
        plan_date: str | None,
        names: Sequence[str],
        begin: Callable[[_Changes], bool] = lambda _: True,
        is_outdated: Callable[[], bool] | None = None,
    ) -> _Changes:
        """Deliver the rows that ``write`` writes to a file, and remember them; without it nobody.

        Only if ``begin``, which is told what changes, says so. The file has what is sent and what is remembered of it:
        they agree, also where a run puts another extract in the place of the one that was read. Where what is left out
        ``is_outdated`` once the changes are marked, all of it is done again: an erasure after that keeps its mark.
        """
        audience = self._target.audience
        # a run that is killed leaves them there: whoever has the destination to itself next removes them
        copies = self._situation.data / OUTGOING / f".{self._config.name}.{audience}.tmp"
        make_private(copies)
        rows = copies / "rows.parquet"
        try:
            while True:
                if write is not None:
                    write(rows)
                noted = copied(self._reader, rows) if write else ()
                changes = self._note_changes(noted, plan_date, is_back=is_outdated is not None)
                if is_outdated is None or not is_outdated():
                    break
            if begin(changes):
                destination.put(replace(self._target, plan_date=plan_date), rows if write else None, names)
                self._ledger.finish_list(audience, now())
            return changes
        finally:
            shutil.rmtree(copies, ignore_errors=True)

    def _note_changes(self, rows: Iterable[Sending], plan_date: str | None, is_back: bool) -> _Changes:
        """Mark who is about to be delivered otherwise, or no longer: nobody knows until it is done.

        Whoever stays as they are is in the list before and after it. ``is_back``: whoever had to go and is in the rows
        has come back.
        """
        audience, at = self._target.audience, now()
        seen = said = gone = 0
        to_say: list[Sending] = []
        to_take_out: list[Sending] = []

        def flush(least: int) -> None:
            if len(to_say) >= least:
                self._ledger.begin_set(audience, self._fingerprint, plan_date, to_say, at, is_back=is_back)
                to_say.clear()
            if len(to_take_out) >= least:
                self._ledger.begin_remove(audience, to_take_out, at)
                to_take_out.clear()

        for row, entry in merged(rows, self._ledger.entries(audience)):
            seen += row is not None
            if row is None:
                assert entry is not None
                to_take_out.append(Sending(entry.key, entry.user_id))
                gone += 1
            elif (
                entry is None
                or entry.must_remove
                or entry.target != self._fingerprint
                or not is_said(entry, str(row.hash))
            ):
                to_say.append(row)
                said += 1
            flush(_CHUNK)
        flush(1)
        return _Changes(seen, said, gone)


def removals(
    ledger: Ledger, audience: str, entries: Iterable[Entry], names: Iterable[str], plan_date: date
) -> Iterator[Parcel]:
    """Return entries as removals that unset every attribute; what no provider holds is forgotten on the way.

    What was said once for ``plan_date`` stays known: who comes back that day is not told again.
    """
    nothing: dict[str, Value] = dict.fromkeys(names)
    unheld: list[str] = []
    for entry in entries:
        if entry.may_hold:
            yield Parcel(
                Row(entry.key, entry.user_id, {}, nothing),
                Sending(
                    entry.key,
                    entry.user_id,
                    entry.channel,
                    # refused when it was to be set, and nothing else: then a refused removal removes nobody
                    held_before=int(
                        not (entry.status == REJECTED and entry.operation == SET and entry.accepted_hash is None)
                    ),
                    said_once=entry.once if entry.once == plan_date.isoformat() and not entry.must_remove else None,
                ),
            )
        else:
            unheld.append(entry.key)
    ledger.forget(audience, unheld)


def stale_targets(ledger: Ledger, config: DestinationConfig | None) -> list[StoredTarget]:
    """Return the targets whose rows lie where their audience is no longer: another list, or none at all.

    So does an attribute that another audience sets now, where all share one profile: it is unset first.
    """
    found = []
    for stored in ledger.targets():
        target = config.target(stored.audience) if config else None
        if config is None or target is None or stored.target != fingerprint_of(config, target):
            found.append(stored)
            continue
        others = {name for other in config.targets if other is not target for name in other.names}
        if config.kind.has_profiles and others.intersection(stored.names):
            found.append(stored)
    return found


def retire_stale(ledger: Ledger, name: str, config: DestinationConfig | None, situation: Situation) -> list[Report]:
    """Take out of a destination what lies where it belongs no longer, and return what came of each such target.

    Places are emptied before others are filled: a list may have passed to another audience. Rows that a killed sync has
    left on their way go too, of all audiences.
    """
    outgoing.clear(situation.data, name)
    return [_retired(ledger, name, stored, situation) for stored in stale_targets(ledger, config)]


def _retired(ledger: Ledger, name: str, stored: StoredTarget, situation: Situation) -> Report:
    report = Report(name, stored.audience)
    try:
        _retire(ledger, name, stored, situation, report.tally)
    except Exception as error:  # of an old place: it must not stop what is sent to the present ones
        report.tally.stopped = error
    mine = (entry for entry in ledger.entries(stored.audience) if entry.target == stored.target)
    report.is_left = report.tally.stopped is not None or any(
        entry.status != "rejected" or not entry.is_permanent for entry in mine
    )
    ledger.keep_run(run_of(report, situation, now()))
    return report


def _retire(ledger: Ledger, name: str, stored: StoredTarget, situation: Situation, tally: Tally) -> None:
    """Take the rows of a target out that is configured no longer, with the options it had."""
    kind = KINDS.get(stored.type)
    if kind is None:
        raise WrongSettings(
            f"{name}: rows of {stored.audience} lie at a destination of type {stored.type}, which is no more.",
            "Take them out at the provider, or bring the module back for one run.",
        )
    mine = [entry for entry in ledger.entries(stored.audience) if entry.target == stored.target]
    destination = _build(kind, name, stored.options, situation)
    target = Target(stored.audience, None, stored.audience_options)
    try:
        if isinstance(destination, WholeDestination):
            destination.clear(target, stored.names)
            ledger.forget(stored.audience, [entry.key for entry in mine])
            tally.removed += len(mine)
            tally.sent += len(mine)
        else:
            courier = Courier(destination, target, stored.target, ledger, tally)
            courier.send(REMOVE, removals(ledger, stored.audience, mine, stored.names, situation.plan_date))
    finally:
        destination.close()
    ledger.drop_target(stored.audience, stored.target)


def run_of(report: Report, situation: Situation, started_at: str) -> dict[str, Any]:
    """Return what the ledger keeps of a sync."""
    tally = report.tally
    reasons = [
        {"operation": operation, "status": status, "code": code, "rows": rows}
        for (operation, status, code), rows in sorted(tally.reasons.items())
    ]
    return {
        "run_id": situation.run_id,
        "audience": report.audience,
        "as_of": situation.as_of.isoformat(),
        "started_at": started_at,
        "seconds": report.seconds,
        "candidates": report.candidates,
        "rows": report.rows,
        "sent": tally.sent,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "pending": tally.pending,
        "unknown": tally.unknown,
        "removed": tally.removed,
        "vetoed": tally.vetoed,
        "outcome": report.outcome,
        "guard": ",".join(guard.name for guard in report.guards) or None,
        "reasons": json.dumps(reasons),
    }


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) >= _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
