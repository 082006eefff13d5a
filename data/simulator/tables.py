"""Columnar tables of codes, and the rows that are still on their way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.simulator.draws import Ints
from data.simulator.parameters import DAY

#: Column name to values, all of one length. Values are numbers: codes, whole seconds since 1970 (UTC), cents;
#: -1 is missing. ``data.simulator.relations`` says what they stand for.
Table = dict[str, NDArray[Any]]

#: The day number of rows that are there before the first day.
HISTORY = -1


def rows_of(table: Table) -> int:
    """How many rows a table has."""
    return len(next(iter(table.values()))) if table else 0


def taken(table: Table, rows: NDArray[Any] | slice) -> Table:
    """Some rows of a table: positions, a mask or a slice."""
    return {name: values[rows] for name, values in table.items()}


def joined(tables: Iterable[Table]) -> Table:
    """One table of several with the same columns; an empty one where there is none."""
    parts = [table for table in tables if rows_of(table)]
    if len(parts) < 2:
        return parts[0] if parts else {}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def filled(size: int, **columns: Any) -> Table:
    """A table in which single numbers are repeated for every row."""
    return {
        name: values if isinstance(values, np.ndarray) else np.full(size, values, dtype=np.int64)
        for name, values in columns.items()
    }


def in_order(table: Table) -> Table:
    """The rows by the time of what they tell; rows of equal time keep their order."""
    if not rows_of(table) or "at" not in table:
        return table
    return taken(table, np.argsort(table["at"], kind="stable"))


class Arrivals:
    """Rows by the day on which they arrive."""

    def __init__(self, start: int, days: int) -> None:
        self._start = start
        self._days = days
        self._due: dict[int, dict[str, list[Table]]] = {}
        #: The earliest day for which rows are still taken.
        self.today = HISTORY

    def add(self, dataset: str, table: Table, at: Ints) -> None:
        """Let each row arrive at its own time (seconds); what would arrive after the last day never does."""
        if not rows_of(table):
            return
        day = np.maximum((at - self._start) // DAY, self.today)
        first, last = int(day.min()), int(day.max())
        if first == last:
            self._keep(first, dataset, table)
            return
        order = np.argsort(day, kind="stable")
        edges = np.searchsorted(day[order], np.arange(first, last + 2))
        for number in range(first, last + 1):
            rows = order[edges[number - first] : edges[number - first + 1]]
            if len(rows):
                self._keep(number, dataset, taken(table, rows))

    def _keep(self, day: int, dataset: str, table: Table) -> None:
        if day < self._days:
            self._due.setdefault(day, {}).setdefault(dataset, []).append(table)

    def take(self, day: int) -> dict[str, Table]:
        """Everything that arrives on a day, in the order of what it tells."""
        self.today = day + 1
        due: Mapping[str, list[Table]] = self._due.pop(day, {})
        return {dataset: in_order(joined(parts)) for dataset, parts in due.items()}
