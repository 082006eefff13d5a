"""Two days of a small shop: a first run that may write no extracts, then one data folder killed and one undisturbed."""

from __future__ import annotations

import gzip
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from orchestration.publish.publish import published_state
from orchestration.warehouse.lock import warehouse_lock
from tests.faults.harness import (
    STAGES,
    Folder,
    Kill,
    Moment,
    Pace,
    Reading,
    Run,
    WarmStart,
    digest,
    kill_at,
    reading,
    run_through,
)
from tests.faults.world import World

TRUNCATED = "consents/truncated.csv.gz"
#: The moments follow from it; another one with BAROMETER_SEED.
SEED = int(os.environ.get("BAROMETER_SEED") or random.SystemRandom().randrange(10_000))


@dataclass
class FirstDay:
    """The first run, the files that it left, and its date."""

    folder: Folder
    run: Run
    files: set[str]
    as_of: date


@dataclass
class Outcome:
    """The undisturbed folder, the killed one, and what was seen meanwhile."""

    undisturbed: Folder
    killed: Folder
    first: date
    second: date
    kills: list[Kill]
    before: str
    read: Reading
    #: How many runs held the one slot of those that write, when dbt's was killed.
    slots_held: int


def new_world(landing: Path) -> World:
    """The files of a first day, one of them a truncated file of consents."""
    world = World(landing, parts=3)
    lines = "\n".join(f"u{n},email,withdrawn,2026-06-01T00:00:{n % 60:02}" for n in range(3000))
    content = gzip.compress(f"user_id,channel,status,occurred_at\n{lines}\n".encode())
    (world.landing / TRUNCATED).write_bytes(content[: len(content) // 2])
    return world


def first_day(folder: Folder, world: World) -> FirstDay:
    run = folder.run(world.as_of)
    left = {path.name for path in folder.data.iterdir()} | {path.name for path in folder.published.parent.iterdir()}
    return FirstDay(folder, run, left, world.as_of)


@contextmanager
def second_day(blocked: FirstDay, world: World) -> Iterator[Outcome]:
    """The file is acknowledged. One folder is killed at every stage and run again; beside it two runs at once."""
    folder, warm = blocked.folder, WarmStart(blocked.folder.repository)
    with (folder.repository / "dbt_project" / "seeds" / "acknowledged_rejects.csv").open("a") as seed:
        seed.write(f"consents,{digest(folder.landing / TRUNCATED)},,delivered again\n")
    second = world.next_day()
    killed, undisturbed = folder.copy("killed", warm=warm), folder.copy("undisturbed", warm=warm)
    try:
        yield _go_through_kills(killed, undisturbed, blocked.as_of, second)
    finally:
        for run in (*killed.runs, *undisturbed.runs):
            if run.process.poll() is None:
                run.kill()
        warm.stop()


def waiting(folder: Folder) -> str:
    """What a run says that waits for another."""
    return f"Another run is writing to {folder.data / 'warehouse'};"


def _go_through_kills(killed: Folder, undisturbed: Folder, first: date, second: date) -> Outcome:
    print(f"BAROMETER_SEED={SEED} repeats the moments")
    rng, pace = random.Random(SEED), Pace()
    before, slots_held = published_state(killed.published).fingerprint, 0
    kills: list[Kill] = []
    with warehouse_lock(undisturbed.data / "warehouse", 0, print):
        pair = [undisturbed.start(second) for _ in range(2)]
        for run in pair:
            run.wait_for(lambda run=run: waiting(undisturbed) in run.output())  # type: ignore[misc]
    # so many answers that each reader meets both builds; more would only take the time of the runs
    with reading(killed.published, pause=1.5) as read:
        # extracting is over in a moment; `python -m tests.faults.soak` has it too
        for stage in (name for name in STAGES if name not in ("extracting", "end")):
            # dbt itself is there for most of its stage; killed early in publishing, a build is built again
            share = rng.uniform(0.4, 0.9) if stage in ("dbt", "publishing") else rng.random()
            kill = kill_at(killed, second, Moment(stage, share), pace)
            if kill is not None:
                kills.append(kill)
            if stage == "dbt":
                slots_held = killed.slots_held()
        run_through(killed, second, pace)
    for run in pair:
        run.wait()
    return Outcome(undisturbed, killed, first, second, kills, before, read, slots_held)
