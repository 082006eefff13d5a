"""The same rows in files that are shuffled, split, repeated, overwritten, broken at first, late, over any runs.

``python -m tests.properties.orders --orders 1000`` tries so many orders and prints what was tried. Most time of a
small world goes into files and statements, so the worlds of a round share a warehouse, each with files, splits and an
order of its own; a round is a function of its number. The end must be the tables of one full build over all rows at
once, with every row of every file counted.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from orchestration.landing.contract import DATASETS
from orchestration.landing.quoting import identifier
from tests import compiled_sql
from tests.properties.oracle import Row
from tests.properties.worlds import Batch, as_json, make_case, make_policy

AS_OF = date(2024, 6, 15)
#: Records of runs, and what says how rows came: these are of the files, not of the rows.
_RECORDS = {"load_files", "rejected_files", "rejected_rows", "bad_values", "extract_blocks", "build_info"}
_OF_LOADS = {"load_id", "changed_load_id", "key_hash", "row_number"}
#: Columns of erasures that are hashed with a salt of the warehouse.
_SALTED = {"user_id", "row_md5"}
_FORMATS = ("jsonl", "jsonl.gz", "csv", "csv.gz", "parquet", "latin1", "semicolon")
#: Rows that can't be used, each for another reason; none stands for something that depends on the file.
_BAD: tuple[tuple[str, Row], ...] = (
    ("events", {"event_id": "bad1", "user_id": "w0_u1", "event": "page", "timestamp": "yesterday"}),
    ("events", {"event_id": "bad2", "event": "page", "timestamp": "2024-06-01T00:00:00Z"}),
    ("orders", {"order_id": "bad3", "user_id": "w0_u1", "ordered_at": "2024-06-01", "gross_amount": "much"}),
    ("order_items", {"order_id": "o", "line_number": 1, "product_id": "p", "quantity": -1, "unit_price": 1}),
    ("messages", {"message_id": "bad4", "user_id": "w0_u1", "channel": "pigeon", "sent_at": "2024-06-01"}),
    (
        "consents",
        {"user_id": "w0_u2", "channel": "sms", "status": "perhaps", "occurred_at": "2024-06-01T00:00:00Z"},
    ),
)


@dataclass
class Tried:
    """What rounds did."""

    orders: int = 0
    runs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(self, other: Tried) -> None:
        """Count others in."""
        self.orders += other.orders
        self.runs += other.runs
        self.kinds += other.kinds
        self.rows += other.rows


#: How many worlds share a warehouse.
WORLDS = 12


def worlds_of(number: int, worlds: int = WORLDS) -> list[Batch]:
    """The rows of random worlds that share no id, every other one with erasures; the first has rows of no use too."""
    chooser = random.Random(f"rows {number}")
    prefixes = [f"w{place}_" for place in range(worlds)]
    policy = make_policy(chooser, AS_OF, prefixes)
    found: list[Batch] = []
    for place, prefix in enumerate(prefixes):
        case = make_case(
            chooser.getrandbits(32),
            settings=False,
            time_zone="UTC",
            as_of=AS_OF,
            policy=policy,
            prefix=prefix,
            erasures=place % 2 == 1,
        )
        # campaigns are those of the policy, the same for all
        names = [dataset for dataset in DATASETS if dataset != "campaigns" or place == 0]
        rows: Batch = {dataset: list(case.world.rows(dataset)) for dataset in names}
        for dataset, row in _BAD if place == 0 else ():
            rows[dataset].append(row)
        found.append({dataset: of_dataset for dataset, of_dataset in rows.items() if of_dataset})
    return found


# files


def write(path: Path, rows: Sequence[Row], format_: str) -> None:
    """Write rows to ``path``, which has no ending yet, in a format."""
    written = [as_json(row, salt) for salt, row in enumerate(rows)]
    if format_.startswith("jsonl"):
        _put(path, format_, "".join(json.dumps(row) + "\n" for row in written).encode())
        return
    names = list(dict.fromkeys(name for row in written for name in row))
    cells = [[_cell(row.get(name)) for name in names] for row in written]
    if format_ == "parquet":
        with duckdb.connect() as con:
            columns = ", ".join(f"{identifier(name)} varchar" for name in names)
            con.execute(f"create table rows({columns})")
            con.executemany(f"insert into rows values ({', '.join('?' for _ in names)})", cells)
            con.execute(f"copy rows to '{path}.parquet' (format parquet)")
        return
    delimiter = ";" if format_ == "semicolon" else ","
    text = _Text()
    quoting = csv.QUOTE_ALL if format_ == "semicolon" else csv.QUOTE_MINIMAL
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\r\n").writerows(
        [names, *[["" if cell is None else cell for cell in row] for row in cells]]
    )
    ending = format_ if format_.startswith("csv") else "csv"
    _put(path, ending, "".join(text.parts).encode("latin-1" if format_ == "latin1" else "utf-8"))


class _Text:
    """What the csv module writes to."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, part: str) -> None:
        self.parts.append(part)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _put(path: Path, ending: str, content: bytes) -> None:
    target = path.with_name(f"{path.name}.{ending}")
    before = target.stat().st_mtime_ns if target.exists() else 0
    target.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    if target.stat().st_mtime_ns <= before:
        os.utime(target, ns=(before + 1, before + 1))


# an order

#: A file to write: dataset, name without ending, rows, format; ``broken`` is the first half of a gzipped one.
Step = tuple[str, str, list[Row], str]


def deliveries(rows: Batch, world: str, chooser: random.Random, runs: int, tried: Tried) -> list[list[Step]]:
    """Return, run by run, the files of a world to write.

    Every row is in some file at the end; some are in several, some files come twice, grow, or are broken at first.
    """
    files: list[list[Step]] = []
    for dataset, of_dataset in rows.items():
        shuffled = chooser.sample(of_dataset, len(of_dataset))
        parts = chooser.randint(1, 2)
        for part in range(parts):
            if some := shuffled[part::parts]:
                files.append(_steps(dataset, f"{world}{part}", some, of_dataset, chooser, tried))
    tried.orders += 1
    # a file comes in any run, and what follows it in a later one, or the same
    plan: list[list[Step]] = [[] for _ in range(runs)]
    for steps in chooser.sample(files, len(files)):
        run = chooser.randrange(runs)
        for step in steps:
            plan[run].append(step)
            run = chooser.randint(min(run + 1, runs - 1), runs - 1)
    return plan


def _steps(
    dataset: str, name: str, some: list[Row], of_dataset: Sequence[Row], chooser: random.Random, tried: Tried
) -> list[Step]:
    """Return what is written of a file, in this order."""
    folder, format_ = "deep/er/" if chooser.random() < 0.2 else "", chooser.choice(_FORMATS)
    whole = (dataset, folder + name, some, format_)
    kinds = ("plain", "plain", "repeated", "overlapping", "broken", "renamed", "grows")
    kind = chooser.choice(kinds if len(some) > 1 else kinds[:-1])
    tried.kinds[kind] += 1
    match kind:
        case "repeated":
            return [whole, (dataset, f"{folder}{name}-again", some, chooser.choice(_FORMATS))]
        case "overlapping":
            return [(dataset, folder + name, [*some, *chooser.choices(of_dataset, k=3)], format_)]
        case "grows":
            return [(dataset, folder + name, some[: len(some) // 2], format_), whole]
        case "broken":
            return [(dataset, folder + name, some, "broken"), (dataset, folder + name, some, "jsonl.gz")]
        case "renamed":
            return [(dataset, f"_{name}", some, format_), whole]
        case _:
            return [whole]


def rows_to_read(runs: Sequence[Sequence[Step]]) -> int:
    """How many rows the loader must read: those of every file that is there at a run and was not before."""
    read = 0
    for steps in runs:
        found = {
            (dataset, name, "csv" if kind in ("latin1", "semicolon") else kind): some
            for dataset, name, some, kind in steps
        }
        # one that comes whole in the run in which it was broken was never seen broken
        read += sum(
            len(some) for (_, name, kind), some in found.items() if kind != "broken" and not name.startswith("_")
        )
    return read


def _write_step(landing: Path, step: Step) -> None:
    dataset, name, rows, format_ = step
    path = landing / dataset / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if format_ == "broken":
        # cut off in the middle; when it comes whole, it has the same name
        write(path, rows, "jsonl.gz")
        target = path.with_name(f"{path.name}.jsonl.gz")
        target.write_bytes(target.read_bytes()[: target.stat().st_size // 2])
        os.utime(target, ns=(1, 1))
    else:
        write(path, rows, format_)


class Warehouse:
    """A warehouse in memory, and its landing folder."""

    def __init__(self, compiled: compiled_sql.Compiled, landing: Path) -> None:
        self._compiled = compiled
        self.landing = landing
        landing.mkdir()
        self.world = compiled_sql.World(compiled)
        incremental = [model.name for model in compiled.models if model.materialized == "incremental"]
        self._layer = [model.name for model in compiled.only(incremental).models]

    def run(self, steps: Iterable[Step], as_of: date, is_whole: bool) -> None:
        """Write files, load them, and build: everything as of a date, or what holds every date alone."""
        for step in steps:
            _write_step(self.landing, step)
        self.world.load(self.landing)
        self.world.build(as_of, only=None if is_whole else self._layer)

    def sums(self) -> dict[str, tuple[Any, ...]]:
        """Of every table the number of rows and a sum that differs where a row does."""
        relations = {
            model.name: model.relation
            for model in self._compiled.models
            if model.name not in _RECORDS and not model.name.startswith("touched_")
        }
        relations |= {f"raw.{dataset}": f"working.raw.{dataset}" for dataset in DATASETS}
        return {name: self._sum(name, relation) for name, relation in relations.items()}

    def _columns(self, name: str, relation: str) -> str:
        left_out = _OF_LOADS | (_SALTED if "erasures" in name else set())
        described = self.world.con.execute(f"from {relation} limit 0").description or []
        return ", ".join(f'"{column[0]}"' for column in described if column[0] not in left_out)

    def _sum(self, name: str, relation: str) -> tuple[Any, ...]:
        row = self.world.con.execute(
            f"select count(*), coalesce(sum(hash({self._columns(name, relation)})::hugeint), 0) from {relation}"
        ).fetchone()
        return row or ()

    def rows(self, name: str) -> Counter[tuple[str, ...]]:
        """The rows of a table, to see where two warehouses differ."""
        relation = f"working.{name}" if name.startswith("raw.") else self._compiled.relations[name]
        found = self.world.con.execute(f"select {self._columns(name, relation)} from {relation}").fetchall()
        return Counter(tuple(map(str, row)) for row in found)

    def uncounted(self) -> list[tuple[Any, ...]]:
        """Files of whose rows not every one is accounted for."""
        return self.world.con.execute(
            """
            select file, rows_read, rows_accepted, rows_rejected, rows_duplicate, rows_superseded, rows_erased
            from working.raw.load_files
            where rows_read <> rows_accepted + rows_rejected
                or rows_accepted < rows_duplicate + rows_superseded + rows_erased
            union all
            select 'all files', null, null, null, null, null, null
            where (select sum(rows_accepted - rows_duplicate - rows_superseded - rows_erased)
                    from working.raw.load_files) <> ("""
            + " + ".join(f"(select count(*) from working.raw.{dataset})" for dataset in DATASETS)
            + ")"
        ).fetchall()

    def rows_read(self) -> int:
        """How many rows were read from all files."""
        ((rows,),) = self.world.con.execute("select coalesce(sum(rows_read), 0) from working.raw.load_files").fetchall()
        return int(rows)

    def close(self) -> None:
        """Forget everything."""
        self.world.close()


def full_build(compiled: compiled_sql.Compiled, worlds: Sequence[Batch], folder: Path) -> Warehouse:
    """All rows in one file a dataset, loaded and built at once."""
    warehouse = Warehouse(compiled, folder / "full")
    together = {dataset: [row for rows in worlds for row in rows.get(dataset, [])] for dataset in DATASETS}
    steps = ((dataset, "all", rows, "jsonl") for dataset, rows in together.items() if rows)
    warehouse.run(steps, AS_OF, is_whole=True)
    return warehouse


def try_round(compiled: compiled_sql.Compiled, number: int, folder: Path, worlds: int = WORLDS) -> Tried:
    """Deliver worlds in orders of their own; AssertionError where the end is not that of the full build."""
    batches, chooser, tried = worlds_of(number, worlds), random.Random(f"round {number}"), Tried()
    full, warehouse = full_build(compiled, batches, folder), Warehouse(compiled, folder / "orders")
    try:
        tried.runs = chooser.randint(1, 6)
        plans = [deliveries(rows, f"w{place}-", chooser, tried.runs, tried) for place, rows in enumerate(batches)]
        runs = [[step for steps in of_run for step in steps] for of_run in zip(*plans, strict=True)]
        for place, steps in enumerate(runs):
            is_last = place == len(runs) - 1
            # runs before the last are of any date up to a year from it: what comes then is late by as much
            as_of = AS_OF if is_last else AS_OF - timedelta(days=chooser.randint(-365, 365))
            warehouse.run(steps, as_of, is_whole=is_last or chooser.random() < 0.1)
        tried.rows, wanted_rows = warehouse.rows_read(), rows_to_read(runs)
        assert tried.rows == wanted_rows, f"round {number}: {tried.rows} rows were read of {wanted_rows}"
        assert not (uncounted := warehouse.uncounted()), f"round {number}: not counted: {uncounted}"
        found, wanted = warehouse.sums(), full.sums()
        for name in wanted:
            if found[name] != wanted[name]:
                here, there = warehouse.rows(name), full.rows(name)
                raise AssertionError(
                    f"round {number}: {name} has {list(here - there)[:5]}, a full build has {list(there - here)[:5]}"
                )
    finally:
        warehouse.close()
        full.close()
    return tried


def main(arguments: Sequence[str] | None = None) -> None:
    """Try orders and print what was tried."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1000, help="how many orders to try at least (default: 1000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first round (default: 0)")
    options = parser.parse_args(arguments)
    started, total, failures, number = time.perf_counter(), Tried(), 0, options.first
    with tempfile.TemporaryDirectory() as compiled_in:
        compiled = compiled_sql.compile_project(Path(compiled_in) / "compiled")
    while total.orders < options.orders:
        with tempfile.TemporaryDirectory() as folder:
            try:
                total.add(try_round(compiled, number, Path(folder)))
            except AssertionError as error:
                failures += 1
                total.orders += WORLDS
                print(error, flush=True)  # noqa: T201
        number += 1
        print(f"{total.orders:,} of {options.orders:,} orders, {failures} rounds differ", flush=True)  # noqa: T201
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(total.kinds.items()))
    print(  # noqa: T201
        f"{total.orders:,} orders, {total.runs:,} runs, {total.rows:,} rows in {sum(total.kinds.values()):,} files "
        f"({kinds}); {failures} rounds differ; {time.perf_counter() - started:,.0f} s"
    )
    raise SystemExit(failures > 0)


if __name__ == "__main__":
    main()
