"""Kills runs at hundreds of random moments while others read: `python -m tests.faults.soak --kills 300`.

Two data folders live through the same days. In one each run is left alone; in the other it is killed again and again
until it is let through. Then both must hold the same. `--seed` repeats the moments, `--first` begins at a later day.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.harness import (
    STAGES,
    Folder,
    Pace,
    WarmStart,
    copy_repository,
    differences_of,
    draw_moments,
    kill_at,
    reading,
    run_through,
)
from tests.faults.world import World

#: How often a day begins with empty data folders, and how often with a change of the project.
_ANEW, _CHANGED = 0.2, 0.2
_FEWEST, _MOST = 14, 24
_PARTS = 3
#: Seconds between two looks of a reader: readers are to be there, not to take the machine.
_PAUSE = 0.8


@dataclass
class Tally:
    """What the long run has seen."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    days: int = 0
    reads: int = 0
    builds: set[str] = field(default_factory=set)
    longest_orphan: float = 0.0
    errors: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_sound(self) -> bool:
        return not self.errors and not self.differences

    def lines(self) -> list[str]:
        """A table, as Markdown."""
        told = {
            "kills": f"{self.kills.total()}",
            **{f"kills, {stage}": str(self.kills[stage]) for stage in STAGES},
            "runs": str(self.runs),
            "days compared": str(self.days),
            "reads": f"{self.reads:,}",
            "whole builds seen by readers": str(len(self.builds)),
            "differences": str(len(self.differences)),
            "errors": str(len(self.errors)),
            "longest life of a child after its run, s": f"{self.longest_orphan:.2f}",
            "seed": str(self.seed),
            "minutes": f"{self.seconds / 60:.0f}",
        }
        return ["| what | number |", "| --- | --- |", *(f"| {name} | {number} |" for name, number in told.items())]


def soak(kills: int, seed: int, first: int, readers: int, folder: Path) -> Tally:
    """Go through days until so many kills are done; what fails is kept in ``folder`` and told."""
    started = time.monotonic()
    tally = Tally(seed)
    world = World(folder / "landing", days=first + 2 + kills // _FEWEST, seed=seed, parts=_PARTS)
    repositories = [copy_repository(folder / name) for name in ("repository", "repository-killed")]
    data = [folder / "undisturbed", folder / "killed"]
    undisturbed, killed = (
        Folder(r, world.landing, d, warm=WarmStart(r)) for r, d in zip(repositories, data, strict=True)
    )
    pace, number = Pace(), 0
    while tally.kills.total() < kills:
        if number:
            world.next_day()
        rng = random.Random(f"{seed}/{number}")
        number += 1
        if number <= first:
            continue
        wanted = min(rng.randint(_FEWEST, _MOST), kills - tally.kills.total())
        is_anew, is_changed = rng.random() < _ANEW, rng.random() < _CHANGED
        moments = draw_moments(rng, wanted)
        if is_anew:
            for each in data:
                shutil.rmtree(each, ignore_errors=True)
        if is_changed:
            for repository in repositories:
                with (repository / "dbt_project" / "seeds" / "acknowledged_rejects.csv").open("a") as file:
                    file.write(f"consents,{number:064x},,never delivered\n")
        said = f"day {number - 1}, {world.as_of}{', anew' * is_anew}{', another project' * is_changed}"
        try:
            run_through(undisturbed, world.as_of, pace)
            runs = len(killed.runs)
            with reading(killed.published, readers, _PAUSE) as seen:
                for moment in moments:
                    kill = kill_at(killed, world.as_of, moment, pace)
                    if kill is not None:
                        tally.kills[kill.stage] += 1
                        tally.longest_orphan = max(tally.longest_orphan, kill.seconds_of_orphans)
                run_through(killed, world.as_of, pace)
            tally.runs += len(killed.runs) - runs
            tally.reads += seen.reads
            tally.builds |= seen.distinct_builds
            tally.errors += [f"{said}: {error}" for error in seen.errors]
            found = differences_of(killed, undisturbed)
        except AssertionError as error:
            tally.errors.append(f"{said}: {error}")
            found = ["it did not come to an end"]
        tally.differences += [f"{said}: {difference}" for difference in found]
        tally.days += 1
        if found:
            _keep(killed.data, folder / f"kept-{number - 1}", undisturbed.data)
        tally.seconds = time.monotonic() - started
        print(
            f"{tally.seconds:7.0f} s  {said}: {len(moments)} kills wanted, {tally.kills.total()} of {kills} done "
            f"{dict(tally.kills)}, {tally.reads:,} reads, {len(tally.errors)} errors, "
            f"{len(tally.differences)} differences",
            flush=True,
        )
        for line in [*tally.errors, *tally.differences][:20]:
            print(f"    {line[:3000]}", flush=True)
    return tally


def _keep(data: Path, kept: Path, sound: Path) -> None:
    """Put a data folder that went wrong aside, and go on with a copy of the sound one."""
    shutil.rmtree(kept, ignore_errors=True)
    data.rename(kept)
    shutil.copytree(sound, data)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=None, help="default: drawn, and printed")
    parser.add_argument("--first", type=int, default=0, help="number of the first day, to repeat one that failed")
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="where to work (default: a temporary folder)")
    parser.add_argument("--markdown", type=Path, default=None, help="file for the table")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10_000) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="barometer-soak-"))
    print(f"seed {seed}, in {folder}", flush=True)
    tally = soak(options.kills, seed, options.first, options.readers, folder)
    print("\n".join(["", *tally.lines()]), flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join([*tally.lines(), ""]), encoding="utf-8")
    if tally.is_sound and options.folder is None:
        shutil.rmtree(folder)
    return 0 if tally.is_sound else 1


if __name__ == "__main__":
    sys.exit(main())
