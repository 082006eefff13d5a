"""A plan in the loop: the simulated shop lives a day, its files land and are loaded, the plan of the next day is made.

The simulator sends exactly what the plan lists of a date carried, and people react to what they got.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from data.simulator.shop import Day, Shop
from data.simulator.tables import Table, joined, rows_of, taken
from data.simulator.world import write_day
from orchestration.landing.quoting import literal
from orchestration.warehouse.planned import COLUMNS, add_planned, load_planned
from tests import compiled_sql

#: What the pipeline's plan lists carry.
THE_PLAN = f"select {', '.join(COLUMNS)} from build.marts.contact_plan where holdout_kind is null"
LOGS = ("messages", "message_events")


class LateLogs:
    """Holds each row of the logs of messages back for 0 to ``most`` days, at random by ``seed``."""

    def __init__(self, seed: int, most: int = 3) -> None:
        self._seed = seed
        self._most = most
        self._due: dict[tuple[int, str], list[Table]] = {}

    def of(self, day: Day) -> Day:
        """Return what arrives on a day: all but its logs, and those of the logs that are due; to be asked in order."""
        luck = np.random.default_rng([self._seed, day.number])
        tables = {dataset: table for dataset, table in day.tables.items() if dataset not in LOGS}
        for dataset in LOGS:
            table = day.tables.get(dataset, {})
            delays = luck.integers(0, self._most + 1, rows_of(table))
            for delay in range(self._most + 1):
                part = taken(table, delays == delay) if table else {}
                self._due.setdefault((day.number + delay, dataset), []).append(part)
            due = joined(self._due.pop((day.number, dataset)))
            if rows_of(due):
                tables[dataset] = due
        return replace(day, tables=tables)


@dataclass
class Loop:
    """A shop, and a warehouse to which its files go. Folders are made below ``folder``.

    ``late``: how logs arrive once a plan is sent; None: as the simulator says.
    """

    shop: Shop
    warehouse: compiled_sql.World
    folder: Path
    late: LateLogs | None = None

    @property
    def landing(self) -> Path:
        """Where files land."""
        return self.folder / "landing"

    @property
    def planned_contacts(self) -> Path:
        """What plan lists carried."""
        return self.folder / "planned_contacts"

    @property
    def yesterday(self) -> date:
        """The last date that the shop has lived."""
        return self.shop.parameters.date_of(self.shop.day - 1)

    def begin(self, days: int) -> None:
        """Let the shop live its first days by its own calendar, and load what it knows then."""
        write_day(self.shop, self.shop.history, self.landing)
        lived = [self.shop.next_day() for _ in range(days)]
        # one file a dataset: loading one a day would take most of the time
        datasets = {dataset for day in lived for dataset in day.tables}
        tables = {dataset: joined(day.tables.get(dataset, {}) for day in lived) for dataset in sorted(datasets)}
        write_day(self.shop, replace(lived[-1], tables=tables), self.landing)
        self.warehouse.load(self.landing)

    def live(self, by_calendar: bool = False) -> date:
        """Live a day on which just what its lists carried is sent, or the calendar; load what arrives; return the date.

        What another team sends is sent beside it, if the shop has one.
        """
        plan = None if by_calendar else self._to_send(self.shop.parameters.date_of(self.shop.day))
        day = self.shop.next_day(plan)
        write_day(self.shop, self.late.of(day) if self.late else day, self.landing)
        self.warehouse.load(self.landing)
        return day.date

    def let_logs_arrive(self, days: int) -> None:
        """Load the logs that were held back and are due in the next days, which nobody lives."""
        for number in range(self.shop.day, self.shop.day + days):
            day = Day(number, self.shop.parameters.date_of(number), {})
            write_day(self.shop, self.late.of(day) if self.late else day, self.landing)
        self.warehouse.load(self.landing)

    def build(self) -> date:
        """Build as of the last date lived, and return the date of the plan."""
        self.warehouse.build(self.yesterday)
        return self.yesterday + timedelta(days=1)

    def carry(self, rows: str = THE_PLAN) -> int:
        """Store what the lists of the next date carry, a query that gives COLUMNS; return how many rows are new."""
        con = self.warehouse.con
        count = add_planned(con, self.planned_contacts, self.yesterday + timedelta(days=1), rows)
        load_planned(con, self.planned_contacts)
        return count

    def _to_send(self, plan_date: date) -> Path:
        """Return the file of what the lists of a date carried, as the simulator reads it; it may be empty."""
        path = self.folder / "plans" / f"{plan_date.isoformat()}.parquet"
        path.parent.mkdir(exist_ok=True)
        self.warehouse.con.execute(
            f"copy (select user_id, campaign_id, channel, variant, message_class from raw.planned_contacts "
            f"where plan_date = date '{plan_date}' and holdout_kind is null order by all) "
            f"to {literal(str(path))} (format parquet)"
        )
        return path
