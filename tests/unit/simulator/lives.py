"""Lives worlds of the simulator in memory, and hands them to SQL: codes of rows, and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from data.simulator.parameters import Parameters
from data.simulator.people import People
from data.simulator.shop import Shop
from data.simulator.tables import Table, joined, rows_of
from data.simulator.truth import states_table
from data.simulator.visits import Visits


class Recording(Shop):
    """A shop that keeps the visits people make by themselves, with their states."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters)
        self.own: list[Table] = []
        self.chances: list[Table] = []

    def _own_visits(self) -> Visits:
        visits = super()._own_visits()
        is_person = visits.user >= 0
        self.own.append(
            {
                "user": visits.user[is_person],
                "day": np.full(int(is_person.sum()), self.day),
                "state": self._state[visits.user[is_person]],
                "product": visits.product[is_person],
                "is_logged_in": visits.is_logged_in[is_person],
                "buys": visits.buys[is_person],
            }
        )
        return visits

    @property
    def state(self) -> np.ndarray:
        """The states of people by themselves, today."""
        return self._state


@dataclass
class Lived:
    """A world that was lived: its shop, all rows (with their day of arrival, ``arrived``), and SQL over them."""

    shop: Recording
    tables: dict[str, Table]
    con: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)

    @property
    def parameters(self) -> Parameters:
        return self.shop.parameters

    @property
    def people(self) -> People:
        return self.shop.people

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()

    def one(self, sql: str) -> Any:
        ((value,),) = self.rows(sql)
        return value


def live(parameters: Parameters, plans: Mapping[int, Path] | None = None) -> Lived:
    """Live all days; ``plans`` are those of some days by number, {-1: path} is one for all days."""
    shop = Recording(parameters)
    parts: dict[str, list[Table]] = {}
    plans = plans or {}
    for number in range(-1, parameters.days):
        day = shop.history if number < 0 else shop.next_day(plans.get(number, plans.get(-1)))
        for dataset, table in day.tables.items():
            if size := rows_of(table):
                parts.setdefault(dataset, []).append({**table, "arrived": np.full(size, number)})
    lived = Lived(shop, {dataset: joined(tables) for dataset, tables in parts.items()})
    tables = {
        **lived.tables,
        "own_visits": joined(shop.own),
        "contacts": joined(shop.truth.contacts),
        "states": states_table(shop),
    }
    for name, table in tables.items():
        if not table:
            lived.con.execute(f"create table {name} as select 0 as way, 0 as contacts limit 0")
            continue
        lived.con.register("codes", table)
        # "at" is a word of SQL: told by another name
        renamed = 'select * rename ("at" as happened) from codes' if "at" in table else "from codes"
        lived.con.execute(f"create table {name} as {renamed}")
    return lived


def near(count: float, expected: float, variance: float | None = None, sigmas: float = 4.5) -> bool:
    """Tell whether a count is as near to what is expected as chance allows (Poisson without a variance)."""
    return abs(count - expected) <= sigmas * (expected if variance is None else variance) ** 0.5 + 1e-9


def share_is(hits: float, size: int, chance: float) -> bool:
    """Tell whether so many hits of so many tries fit a chance."""
    return size > 100 and near(hits, size * chance, size * chance * (1 - chance))
