"""Command line of the real orders."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from data.real_orders.cdnow import write_cdnow
from data.real_orders.online_retail import write_online_retail
from data.real_orders.table import rfm_table
from orchestration.errors import BarometerError


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments and run the command; after an error, say it and exit with 1."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except BarometerError as error:
        _say(error.message)
        _say(f"What to do: {error.hint}")
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data.real_orders",
        description="Write real orders as landing files, and print the RFM table that the pipeline makes of them.",
        epilog="docs/REAL_ORDERS.md shows the whole way from a file to the table.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    cdnow = commands.add_parser("cdnow", help="write the CDNOW orders that the package lifetimes carries")
    cdnow.add_argument("--out", type=Path, required=True, metavar="DIR", help="landing folder to write into")
    cdnow.add_argument("--sample", action="store_true", help="only the sample of 2,357 customers")
    cdnow.set_defaults(command=_cdnow)
    retail = commands.add_parser(
        "online-retail", help="write the invoices of Online Retail II as orders and their items"
    )
    retail.add_argument("--file", type=Path, required=True, metavar="FILE", help="the sheet from UCI, saved as Parquet")
    retail.add_argument("--out", type=Path, required=True, metavar="DIR", help="landing folder to write into")
    retail.set_defaults(command=_online_retail)
    table = commands.add_parser("table", help="print the RFM table of a published file as Markdown")
    table.add_argument("--data", type=Path, required=True, metavar="DIR", help="the BAROMETER_DATA folder of the run")
    table.set_defaults(command=_table)
    return parser


def _cdnow(options: argparse.Namespace) -> None:
    _say("reading the CDNOW files of lifetimes")
    _say(f"{write_cdnow(options.out, options.sample):,} orders written into {options.out}")


def _online_retail(options: argparse.Namespace) -> None:
    _say(f"reading {options.file}")
    write_online_retail(options.file, options.out, _say)


def _table(options: argparse.Namespace) -> None:
    sys.stdout.write(f"{rfm_table(options.data)}\n")


def _say(text: str) -> None:
    sys.stderr.write(f"real orders: {text}\n")


if __name__ == "__main__":
    main()
