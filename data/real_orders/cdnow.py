"""CDNOW: the orders of 23,570 people who first bought in early 1997, up to June 1998 (Fader and Hardie).

The PyPI package lifetimes carries the files; they are read where pip put them, and the package is never imported. A row
is an order: order_id is the row's number, since 255 rows equal another one, ordered_at its date, gross_amount its
dollars. The number of CDs is left out: there is no product to put it under.

The sample is every tenth customer, in a file of its own, with a summary published beside it (frequency, and recency and
T in weeks, as of 1997-09-30), in which customers have a number of their own, 1 to 2,357.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from data.real_orders.folder import prepare_folder, unfinished
from orchestration.errors import BarometerError

_HINT = "Install the test requirements: pip install --require-hashes -r requirements/test.lock"


@dataclass(frozen=True)
class Summary:
    """What was published about one customer of the sample; recency and t are in weeks."""

    frequency: int
    recency: float
    t: float


def write_cdnow(folder: Path, is_sample: bool = False) -> int:
    """Write the orders of everybody, or of the sample, into a landing folder; return their number."""
    name = "orders/cdnow_sample.csv" if is_sample else "orders/cdnow.csv"
    prepare_folder(folder, (name,))
    path = folder / name
    count = 0
    with unfinished(path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("order_id", "user_id", "ordered_at", "gross_amount"))
        for count, (customer, day, dollars) in enumerate(_purchases(is_sample), start=1):
            writer.writerow((count, customer, datetime.strptime(day, "%Y%m%d").date().isoformat(), dollars))
    unfinished(path).replace(path)
    return count


def published_summary() -> dict[str, Summary]:
    """Return the published summary of the sample by the customer's id in the orders."""
    customers = {int(number): customer for customer, number, *_ in _fields("CDNOW_sample.txt")}
    with _file("cdnow_customers_summary.csv").open(encoding="utf-8", newline="") as file:
        return {
            customers[int(row["ID"])]: Summary(int(row["frequency"]), float(row["recency"]), float(row["T"]))
            for row in csv.DictReader(file)
        }


def _purchases(is_sample: bool) -> Iterator[tuple[str, str, str]]:
    """Return customer, day and dollars of each row."""
    if is_sample:
        for customer, _number, day, _cds, dollars in _fields("CDNOW_sample.txt"):
            yield customer, day, dollars
        return
    rows = _fields("CDNOW_master.txt")
    next(rows)
    for customer, day, _cds, dollars in rows:
        yield customer, day, dollars


def _fields(name: str) -> Iterator[list[str]]:
    with _file(name).open(encoding="ascii") as file:
        for line in file:
            yield line.split()


def _file(name: str) -> Path:
    try:
        path = Path(str(distribution("lifetimes").locate_file(f"lifetimes/datasets/{name}")))
    except PackageNotFoundError:
        raise BarometerError("The package lifetimes, which carries the CDNOW files, is not installed.", _HINT) from None
    if not path.is_file():
        raise BarometerError(f"This version of lifetimes carries no {name}.", _HINT)
    return path
