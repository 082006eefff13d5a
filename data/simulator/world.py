"""A whole world of files: lives all days of a shop and writes what arrives, and the truth beside it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from data.simulator import dirt
from data.simulator.files import FilePlan, Format, HandWritten, Writer, open_connection, plan_files, write_file
from data.simulator.parameters import Parameters
from data.simulator.relations import Relations
from data.simulator.shop import Day, Shop
from data.simulator.tables import HISTORY, Table, joined, rows_of
from data.simulator.truth import TRUTH, write_truth
from orchestration.landing.contract import DATASETS

MARK = "_sample.json"
_DAYS_BETWEEN_REPORTS = 30


def write_world(
    parameters: Parameters,
    folder: Path,
    format_: Format = "mixed",
    plans: Path | None = None,
    writers: int = 2,
    has_truth: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> Counter[str]:
    """Make all files anew in ``folder`` and return the number of rows of each dataset.

    ``plans`` is a folder with a plan a date, ``<date>.parquet``; a date without one has the shop's own calendar.
    Only a folder that the simulator made itself is made anew; raises FileExistsError for other landing files.
    """
    if not (folder / MARK).exists() and any((folder / dataset).exists() for dataset in DATASETS):
        raise FileExistsError(f"{folder} holds files that are not from the simulator: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*DATASETS, TRUTH):
        shutil.rmtree(folder / name, ignore_errors=True)
    # The mark comes first: a folder that was left half-written can be written again.
    _write_mark(parameters, folder)
    shop = Shop(parameters)
    say(f"{parameters.users:,} people, {parameters.first_day} to {parameters.last_day}")
    with Writer(folder, writers) as writer:
        collected = _Collected(shop, writer, plan_files(parameters, format_), has_truth)
        collected.add(shop.history)
        for number in range(parameters.days):
            day = parameters.date_of(number)
            plan = plans / f"{day.isoformat()}.parquet" if plans else None
            collected.add(shop.next_day(plan if plan and plan.exists() else None))
            if (number + 1) % _DAYS_BETWEEN_REPORTS == 0 or number + 1 == parameters.days:
                say(f"{day}: {collected.counts['events']:,} events, {collected.counts['messages']:,} messages")
        if parameters.dirt > 0:
            dirt.write_broken_file(folder)
        if has_truth:
            write_truth(shop, writer)
    return collected.counts


def write_day(shop: Shop, day: Day, folder: Path) -> list[Path]:
    """Write what arrived on a day as landing files, ``<dataset>/<date>.parquet``, and return their paths.

    What was there before the first day is ``<dataset>/history.parquet``. There is no dirt in these files.
    """
    name = "history" if day.number == HISTORY else day.date.isoformat()
    relations = Relations(shop.parameters, shop.names)
    paths = []
    with open_connection() as connection:
        for dataset, table in sorted(day.tables.items()):
            if rows_of(table):
                plan = FilePlan(dataset, f"{dataset}/{name}.parquet", day.number, day.number + 1)
                write_file(connection, folder, plan, table, relations.select(dataset))
                paths.append(folder / plan.path)
    return paths


def _write_mark(parameters: Parameters, folder: Path) -> None:
    about = {
        "as_of": parameters.last_day.isoformat(),
        "plan_date": parameters.date_of(parameters.days).isoformat(),
        "seed": parameters.seed,
        "users": parameters.users,
        "days": parameters.days,
    }
    (folder / MARK).write_bytes((json.dumps(about, indent=2) + "\n").encode())


class _Collected:
    """Collects what arrives until a file has all its days."""

    def __init__(self, shop: Shop, writer: Writer, plans: list[FilePlan], has_truth: bool) -> None:
        self._shop = shop
        self._writer = writer
        self._waiting = {name: [plan for plan in plans if plan.dataset == name] for name in DATASETS}
        self._first_files = {name: files[0] for name, files in self._waiting.items()}
        self._parts: dict[str, list[Table]] = {name: [] for name in DATASETS}
        self._has_truth = has_truth
        #: Rows by dataset.
        self.counts: Counter[str] = Counter()

    def add(self, day: Day) -> None:
        """Take what arrives on a day, and write the files that are complete."""
        for dataset, table in day.tables.items():
            self._parts[dataset].append(table)
            self.counts[dataset] += rows_of(table)
        for dataset, waiting in self._waiting.items():
            if waiting and waiting[0].last <= day.number + 1:
                self._write(dataset, waiting.pop(0), is_last=not waiting)
        self._keep_contacts(day)

    def _write(self, dataset: str, plan: FilePlan, is_last: bool) -> None:
        parameters = self._shop.parameters
        table = joined(self._parts[dataset])
        self._parts[dataset] = []
        select = Relations(parameters, self._shop.names).select(dataset)
        by_hand: list[HandWritten] = []
        count = self.counts[dataset]
        if is_last:
            specimens = dirt.specimens_of(parameters, table, count, select)
            by_hand = dirt.written_by_hand(parameters, self._shop.names.user_base, dataset, count, specimens)
        if by_hand and plan.endings[0] == "parquet":
            self._writer.write(FilePlan(dataset, f"{dataset}/by_hand.jsonl", 0, 0), {}, select, by_hand)
            by_hand = []
        is_first_parquet = plan is self._first_files[dataset] and dataset == "events" and plan.endings[0] == "parquet"
        without_key = dirt.kind_count(parameters, rows_of(table)) if is_first_parquet else 0
        if rows_of(table) or by_hand:
            self._writer.write(plan, dirt.with_duplicates(parameters, plan, table), select, by_hand, without_key)

    def _keep_contacts(self, day: Day) -> None:
        """Write the truth about contacts once a month."""
        month = f"{day.date:%Y-%m}"
        is_last = day.number == self._shop.parameters.days - 1
        following = f"{self._shop.parameters.date_of(day.number + 1):%Y-%m}"
        if month != following or is_last:
            table = self._shop.truth.take_contacts()
            if self._has_truth and rows_of(table):
                relations = Relations(self._shop.parameters, self._shop.names)
                self._writer.copy(f"{TRUTH}/contacts/{month}.parquet", table, relations.contacts())
