"""Carries batches to a destination: marks rows before each call, keeps what came of each, and never guesses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from orchestration.activation.destinations.interface import (
    ACCEPTED,
    PENDING,
    UNKNOWN,
    Destination,
    LostAnswer,
    NotTaken,
    Outcome,
    Refused,
    Row,
    Target,
    WrongSettings,
    rejected,
)
from orchestration.activation.sync.ledger import REMOVE, SET, Ledger, Sending, now

#: Calls in a row that the provider did not take, after which the rest waits for the next run.
_MOST_IN_VAIN = 3
#: Rows of a batch refused one by one while none was taken, after which not the rows are to blame.
_MOST_REFUSED = 25


@dataclass
class Tally:
    """What a sync of one audience came to, in rows. ``reasons``: rows by (operation, status, code)."""

    sent: int = 0
    accepted: int = 0
    rejected: int = 0
    pending: int = 0
    unknown: int = 0
    removed: int = 0
    vetoed: int = 0
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    #: What stopped the sync, for people; the rows that were not sent wait for the next run.
    stopped: BaseException | None = None

    def absorb(self, other: Tally) -> None:
        """Add what another place of the same audience came to."""
        for name in ("sent", "accepted", "rejected", "pending", "unknown", "removed", "vetoed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons += other.reasons
        self.stopped = self.stopped or other.stopped

    def add(self, operation: str, outcome: Outcome, is_sent: bool = True) -> None:
        """Count a row; one that is refused here is not sent."""
        self.sent += is_sent
        if outcome.status == ACCEPTED:
            if operation == REMOVE:
                self.removed += 1
            else:
                self.accepted += 1
            return
        setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        self.reasons[(operation, outcome.status, outcome.code)] += 1


@dataclass(frozen=True, slots=True)
class Parcel:
    """A row with what the ledger keeps of it."""

    row: Row
    sending: Sending


def batches(
    parcels: Iterable[Parcel], most_rows: int, most_bytes: int, size: Callable[[Row], int]
) -> Iterator[list[Parcel]]:
    """Return parcels in lists of at most so many rows and bytes; a row that is larger by itself comes alone."""
    batch: list[Parcel] = []
    total = 0
    for parcel in parcels:
        needs = size(parcel.row)
        if batch and (len(batch) >= most_rows or total + needs > most_bytes):
            yield batch
            batch, total = [], 0
        batch.append(parcel)
        total += needs
    if batch:
        yield batch


@dataclass
class _Search:
    """The search for the rows to blame in a batch: how many were refused alone, and whether any was taken."""

    refused: int = 0
    is_any_taken: bool = False
    stopped: WrongSettings | None = None


def deliver(
    destination: Destination, target: Target, operation: str, rows: Sequence[Row], search: _Search | None = None
) -> dict[str, Outcome]:
    """Make the call for some rows, and return what came of each.

    A call that is refused as a whole is made again for each half, until the rows to blame are found. Raises
    WrongSettings where no row is to blame: also where the provider refuses one row after the other and takes none.
    """
    call = destination.set if operation == SET else destination.remove
    is_half = search is not None
    search = search or _Search()
    if search.stopped is not None:
        return {row.key: Outcome(PENDING, "wrong_settings") for row in rows}
    try:
        found = call(target, rows)
    except NotTaken as error:
        # of a half nobody knows what the refused whole has left
        return {row.key: Outcome(PENDING, error.code, is_untouched=not is_half) for row in rows}
    except LostAnswer as error:
        return {row.key: Outcome(UNKNOWN, error.code) for row in rows}
    except WrongSettings as error:
        if not is_half:
            raise
        search.stopped = error
        return {row.key: Outcome(PENDING, "wrong_settings") for row in rows}
    except Refused as error:
        if len(rows) == 1:
            search.refused += 1
            if search.refused >= _MOST_REFUSED and not search.is_any_taken:
                search.stopped = WrongSettings(
                    f"{destination.name} refuses one row after the other ({error.code}).",
                    "Look at the account and at the options of the destination; the rows are sent again then.",
                )
            return {rows[0].key: rejected(error.code, error.is_permanent)}
        half = len(rows) // 2
        parts = [deliver(destination, target, operation, part, search) for part in (rows[:half], rows[half:])]
        if not is_half and search.stopped is not None and not search.is_any_taken:
            raise search.stopped from error
        return parts[0] | parts[1]
    search.is_any_taken = True
    silent = Outcome(UNKNOWN, "no_word_of_row")
    return {row.key: found.get(row.key, silent) for row in rows}


class Courier:
    """Sends rows of one target, several calls at a time; the ledger is written by the thread that calls `send`."""

    def __init__(
        self, destination: Destination, target: Target, fingerprint: str, ledger: Ledger, tally: Tally
    ) -> None:
        self._destination, self._target, self._fingerprint = destination, target, fingerprint
        self._ledger, self._tally = ledger, tally
        self._in_vain = 0

    def send(self, operation: str, parcels: Iterable[Parcel]) -> None:
        """Send all parcels, or those until the provider takes no more or its settings turn out wrong.

        What stopped it is in the tally; the rows that were not sent are found again by the next run.
        """
        if self._tally.stopped is not None:
            return
        limits = self._destination.limits
        once_more: list[Parcel] = []
        running: dict[Future[dict[str, Outcome]], list[Parcel]] = {}

        def size(row: Row) -> int:
            return self._destination.size(self._target, row)

        with ThreadPoolExecutor(limits.concurrency) as pool:
            for batch in batches(parcels, limits.rows, limits.bytes, size):
                if len(running) >= limits.concurrency:
                    self._collect(operation, running, once_more)
                if self._tally.stopped is not None:
                    break
                self._begin(operation, batch)
                rows = [parcel.row for parcel in batch]
                running[pool.submit(deliver, self._destination, self._target, operation, rows)] = batch
            while running:
                self._collect(operation, running, once_more)
        if self._tally.stopped is None and once_more:
            self.send(operation, once_more)
            return
        for _ in once_more:
            self._tally.add(operation, Outcome(UNKNOWN, "answer_lost"))

    def _begin(self, operation: str, batch: Sequence[Parcel]) -> None:
        sendings, at = [parcel.sending for parcel in batch], now()
        if operation == REMOVE:
            self._ledger.begin_remove(self._target.audience, sendings, at)
        else:
            self._ledger.begin_set(self._target.audience, self._fingerprint, self._target.plan_date, sendings, at)

    def _collect(
        self, operation: str, running: dict[Future[dict[str, Outcome]], list[Parcel]], once_more: list[Parcel]
    ) -> None:
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            batch = running.pop(future)
            try:
                outcomes = future.result()
            except WrongSettings as error:
                outcomes = {parcel.row.key: Outcome(PENDING, "wrong_settings") for parcel in batch}
                self._tally.stopped = self._tally.stopped or error
            except Exception as error:  # of the destination's code: nobody knows what the provider has taken
                outcomes = {parcel.row.key: Outcome(UNKNOWN, "destination_failed") for parcel in batch}
                self._tally.stopped = self._tally.stopped or error
            self._finish(operation, batch, outcomes, once_more)

    def _finish(
        self, operation: str, batch: Sequence[Parcel], outcomes: Mapping[str, Outcome], once_more: list[Parcel]
    ) -> None:
        self._ledger.finish(self._target.audience, operation, [parcel.sending for parcel in batch], outcomes, now())
        for parcel in batch:
            outcome = outcomes[parcel.row.key]
            if outcome.status == UNKNOWN and parcel.row.once is not None:
                # membership and attributes are simply set again, what must not be said twice is left out
                once_more.append(_without_once(parcel, outcome.code))
                self._tally.reasons[("once", outcome.status, outcome.code)] += 1
                continue
            self._tally.add(operation, outcome)
        is_in_vain = all(outcome.status in (PENDING, UNKNOWN) for outcome in outcomes.values())
        self._in_vain = self._in_vain + 1 if is_in_vain else 0
        if self._in_vain >= _MOST_IN_VAIN and self._tally.stopped is None:
            code = next(iter(outcomes.values())).code
            self._tally.stopped = Unreachable(
                f"{self._destination.name} took none of the last {_MOST_IN_VAIN} calls ({code})."
            )


class Unreachable(Exception):
    """The provider takes no more for now; the rest waits for the next run."""


def _without_once(parcel: Parcel, code: str) -> Parcel:
    row, sending = parcel.row, parcel.sending
    return Parcel(
        Row(row.key, row.user_id, row.addresses, row.attributes, None, None),
        # said or not, it has been tried; and the provider may hold the row
        Sending(row.key, sending.user_id, sending.channel, sending.hash, sending.parts, None, None, 1, code),
    )
