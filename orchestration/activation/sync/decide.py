"""What is to be said of each key: the difference between an extract and the ledger, both in the order of keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeVar

from orchestration.activation.destinations.interface import ACCEPTED, REJECTED
from orchestration.activation.sync.ledger import SET, Entry, Sending
from orchestration.errors import BarometerError


class Wanted(NamedTuple):
    """A row of an extract: its key, its user, the hash of all that would be sent, and the channel it is for."""

    key: str
    user_id: str
    hash: str
    channel: str | None = None


_Row = TypeVar("_Row", Wanted, Sending)


def is_said(entry: Entry, hash_: str) -> bool:
    """Whether a wanted row needs no call: it is accepted as it is, or was refused as it is for ever.

    A row whose last call is not known to have succeeded is said again, also where an older answer had its hash.
    """
    if entry.status == ACCEPTED:
        return entry.accepted_hash == hash_
    return entry.status == REJECTED and entry.operation == SET and bool(entry.is_permanent) and entry.sent_hash == hash_


def merged(wanted: Iterable[_Row], entries: Iterable[Entry]) -> Iterator[tuple[_Row | None, Entry | None]]:
    """Return the wanted row and the entry of each key that either side has, in the order of keys.

    Raises BarometerError where the wanted rows are not in that order, or have a key twice: they are no extract of ours.
    """
    left, right = iter(_in_order(wanted)), iter(entries)
    row, entry = next(left, None), next(right, None)
    while row is not None or entry is not None:
        if entry is None or (row is not None and row.key < entry.key):
            yield row, None
            row = next(left, None)
        elif row is None or entry.key < row.key:
            yield None, entry
            entry = next(right, None)
        else:
            yield row, entry
            row, entry = next(left, None), next(right, None)


def _in_order(rows: Iterable[_Row]) -> Iterator[_Row]:
    before = ""
    for row in rows:
        if row.key <= before:
            raise BarometerError(
                "An extract is not in the order of its keys.", "Run the pipeline again; it writes the extracts anew."
            )
        before = row.key
        yield row
