"""A small shop whose files arrive day by day, so that every stage of a run has something to do, soon done."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np

from data.simulator.parameters import Parameters
from data.simulator.shop import Day, Shop
from data.simulator.tables import joined, rows_of, taken
from data.simulator.world import write_day

USERS, DAYS_BEFORE = 200, 60
FIRST = date(2026, 6, 30)


@dataclass
class World:
    """Writes the files of a shop to a landing folder, some of them for each day.

    Beside the shop's own files each day brings a rejected row, a rejected consent, an order again with other amounts,
    and an erasure. ``parts``: into how many files each dataset of a day is cut.
    """

    landing: Path
    days: int = 2
    seed: int = 3
    parts: int = 1
    shop: Shop = field(init=False)
    as_of: date = field(init=False)

    def __post_init__(self) -> None:
        last_day = FIRST + timedelta(days=max(self.days, 2) - 1)
        self.shop = Shop(
            Parameters(users=USERS, days=DAYS_BEFORE + max(self.days, 2) - 1, seed=self.seed, last_day=last_day)
        )
        write_day(self.shop, self.shop.history, self.landing)
        lived = [self.shop.next_day() for _ in range(DAYS_BEFORE)]
        datasets = sorted({dataset for day in lived for dataset in day.tables})
        tables = {dataset: joined(day.tables.get(dataset, {}) for day in lived) for dataset in datasets}
        self._write(replace(lived[-1], tables=tables))

    def next_day(self) -> date:
        """Write the files of the next day, and return it."""
        self._write(self.shop.next_day())
        return self.as_of

    def _write(self, day: Day) -> None:
        self.as_of = day.date
        for part in range(self.parts):
            tables = {
                dataset: taken(table, np.arange(rows_of(table)) % self.parts == part)
                for dataset, table in day.tables.items()
                if rows_of(table)
            }
            with tempfile.TemporaryDirectory() as folder:
                for path in write_day(self.shop, replace(day, tables=tables), Path(folder)):
                    self._land(path, f"{path.parent.name}/{day.date}-{part}.parquet")
        self._write_by_hand(day.date)

    def _land(self, path: Path, name: str) -> None:
        target = self.landing / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)

    def _write_by_hand(self, day: date) -> None:
        # of those who were there before the first day: each day another one
        users = [
            user
            for (user,) in duckdb.execute(
                "select user_id from read_parquet(?) order by md5(user_id)",
                [str(self.landing / "users/history.parquet")],
            ).fetchall()
        ]
        number = (day - FIRST).days
        at = f"{day}T12:00:00Z"
        lines = {
            f"orders/{day}.csv": "order_id,user_id,ordered_at,status,gross_amount\n"
            f",{users[-1]},{at},completed,10\n"
            f"o-{day},{users[-1 - number % 20]},{at},completed,{10 + number}\n"
            f"o-{FIRST},{users[-1]},{at},refunded,{10 + number}\n",
            f"consents/{day}.csv": "user_id,channel,status,occurred_at\n"
            f"{users[-2 - number % 20]},email,perhaps,{at}\n",
            f"erasures/{day}.csv": f"user_id,requested_at\n{users[number % 100]},{at}\n",
            f"events/{day}.jsonl": json.dumps(
                {"event_id": f"e-{day}", "user_id": users[-1], "event": "page", "timestamp": at}
            )
            + "\n",
        }
        for name, text in lines.items():
            path = self.landing / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
