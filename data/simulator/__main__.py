"""Command line of the simulator."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import Counter
from datetime import date
from pathlib import Path

from data.simulator.behaviour import event_records, make_orders, make_visits, order_tables
from data.simulator.catalogue import campaign_rows, product_rows
from data.simulator.dirt import add_dirt
from data.simulator.draws import Draws
from data.simulator.messages import message_tables
from data.simulator.parameters import Parameters
from data.simulator.people import make_people, people_tables
from data.simulator.rows import Tables
from data.simulator.writing import write_files
from orchestration.landing.contract import DATASETS


def simulate(parameters: Parameters) -> Tables:
    """Make all tables, with their dirt, in the order of arrival."""
    _say(f"{parameters.users} people, {parameters.first_day} to {parameters.last_day}")
    people = make_people(parameters)
    tables = people_tables(parameters, people)
    tables["products"] = product_rows(parameters)
    tables["campaigns"] = campaign_rows(parameters, Draws(parameters.seed, "campaigns"))
    visits = make_visits(parameters, people)
    orders = make_orders(parameters, people, visits)
    tables["orders"], tables["order_items"] = order_tables(parameters, people, orders)
    _say(f"{len(visits.at)} visits, {orders.count} orders")
    tables["events"] = event_records(parameters, people, visits, orders)
    for dataset, records in message_tables(parameters, people, orders).items():
        tables.setdefault(dataset, []).extend(records)
    for records in tables.values():
        records.sort(key=lambda record: record[0])
    _say(f"{len(tables['messages'])} messages, {len(tables['events'])} events")
    add_dirt(parameters, tables)
    return tables


def write_sample(parameters: Parameters, folder: Path) -> Counter[str]:
    """Make all files anew in ``folder`` and return the number of rows by dataset.

    Only a folder that the simulator made itself is made anew; raises FileExistsError for other landing files.
    """
    if not (folder / "_sample.json").exists() and any((folder / dataset).exists() for dataset in DATASETS):
        raise FileExistsError(f"{folder} holds files that are not from the simulator: name another folder")
    tables = simulate(parameters)
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in DATASETS:
        shutil.rmtree(folder / dataset, ignore_errors=True)
    counts: Counter[str] = Counter()
    for path, rows in write_files(parameters, tables, folder).items():
        counts[path.split("/")[0]] += rows
    return counts


def _say(text: str) -> None:
    sys.stderr.write(f"simulator: {text}\n")


def main() -> None:
    """Read the options, make the files and say how many rows there are."""
    defaults = Parameters()
    parser = argparse.ArgumentParser(
        prog="python -m data.simulator",
        description="Make landing files of an invented shop. The same options always give the same bytes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="folder for the files; an older sample in it is replaced"
    )
    parser.add_argument("--users", type=int, default=defaults.users, help="number of people, at least 100")
    parser.add_argument("--days", type=int, default=defaults.days, help="days of visits and messages, at least 30")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="another seed gives other people")
    parser.add_argument("--last-day", type=date.fromisoformat, default=defaults.last_day, help="the last day (UTC)")
    options = parser.parse_args()
    if options.users < 100 or options.days < 30:
        parser.error("at least 100 people and 30 days are needed")
    parameters = Parameters(options.users, options.days, options.seed, options.last_day)
    try:
        counts = write_sample(parameters, options.out)
    except FileExistsError as error:
        parser.error(str(error))
    for dataset, rows in sorted(counts.items()):
        _say(f"{rows:>7} rows of {dataset}")


if __name__ == "__main__":
    main()
