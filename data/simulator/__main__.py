"""Command line of the simulator."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date
from pathlib import Path

from data.simulator.parameters import Parameters
from data.simulator.world import write_world

_ABOUT = """Make landing files of an invented shop, and the truth about it in _truth/.
The same options always give the same bytes. Without --plans the shop sends its own calendar to everybody who
matches. With --plans DIR, a date that has a file DIR/<date>.parquet (columns user_id, campaign_id, channel, variant,
message_class) is sent exactly that instead, and people react to it; all days are lived anew from the first."""


def _parser() -> argparse.ArgumentParser:
    defaults = Parameters()
    parser = argparse.ArgumentParser(
        prog="python -m data.simulator",
        description=_ABOUT,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for the files; an older world of the simulator is replaced")
    add("--users", type=int, default=defaults.users, help="number of people, at least 100")
    add("--days", type=int, default=defaults.days, help="days of visits and messages, at least 30")
    add("--seed", type=int, default=defaults.seed, help="another seed gives another world")
    add("--last-day", type=date.fromisoformat, default=defaults.last_day, help="the last day (UTC)")
    add("--format", choices=("mixed", "parquet"), default="mixed", help="all formats by turns, or Parquet alone")
    add("--dirt", type=float, default=defaults.dirt, help="bad rows: 0 for none, 1 for the share that the sample has")
    add("--others", type=float, default=defaults.others, help="share of marketing sent past every plan, 0 to 1")
    add("--plans", type=Path, help="folder with a plan a date, <date>.parquet")
    add("--writers", type=int, default=2, help="files that are written at the same time; changes no byte")
    add("--truth", action=argparse.BooleanOptionalAction, default=True, help="write the truth into _truth/")
    return parser


def main() -> None:
    """Read the options, make the files and say how many rows there are."""
    parser = _parser()
    options = parser.parse_args()
    if options.users < 100 or options.days < 30:
        parser.error("at least 100 people and 30 days are needed")
    if options.dirt < 0 or not 0 <= options.others <= 1 or options.writers < 1 or options.seed < 0:
        parser.error("--dirt is 0 or more, --others 0 to 1, --writers 1 or more, --seed 0 or more")
    if options.plans and not options.plans.is_dir():
        parser.error(f"{options.plans} is no folder")
    parameters = Parameters(
        users=options.users,
        days=options.days,
        seed=options.seed,
        last_day=options.last_day,
        dirt=options.dirt,
        others=options.others,
    )
    started = time.perf_counter()

    def say(text: str) -> None:
        sys.stderr.write(f"{time.perf_counter() - started:6.1f} s  {text}\n")

    try:
        counts = write_world(
            parameters, options.out, options.format, options.plans, options.writers, options.truth, say
        )
    except (FileExistsError, ValueError) as error:
        parser.error(str(error))
    for dataset, rows in sorted(counts.items()):
        say(f"{rows:>11,} rows of {dataset}")


if __name__ == "__main__":
    main()
