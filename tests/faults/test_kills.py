"""Runs that are killed, runs side by side, and a run that may not write extracts: the real pipeline, from its command.

Runs cost many seconds each, so they are shared. In a copy of the repository a truncated file of consents stops the
extracts of a first day. It is acknowledged; on the second day one data folder is killed at a random moment of every
stage, while other processes read what it publishes, and a copy of it goes its way undisturbed, with two runs at once.
`python -m tests.faults.soak` is the long form of it.
"""

from __future__ import annotations

import gzip
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import dagster as dg
import pytest

from orchestration.warehouse.lock import warehouse_lock
from tests.faults.harness import (
    STAGES,
    Folder,
    Kill,
    Moment,
    Pace,
    Reading,
    Run,
    copy_repository,
    differences_of,
    digest,
    kill_at,
    reading,
    run_through,
)
from tests.faults.reader import answer
from tests.faults.world import World

TRUNCATED = "consents/truncated.csv.gz"
#: The moments follow from it; another one with BAROMETER_SEED.
SEED = int(os.environ.get("BAROMETER_SEED") or random.SystemRandom().randrange(10_000))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The files of a first day, one of them truncated; those of the second come later."""
    world = World(tmp_path_factory.mktemp("landing"), parts=3)
    lines = "\n".join(f"u{n},email,withdrawn,2026-06-01T00:00:{n % 60:02}" for n in range(3000))
    content = gzip.compress(f"user_id,channel,status,occurred_at\n{lines}\n".encode())
    (world.landing / TRUNCATED).write_bytes(content[: len(content) // 2])
    return world


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A copy of what a run needs of the repository, so that a seed can be edited."""
    repository = copy_repository(tmp_path_factory.mktemp("repository"))
    return Folder(repository, world.landing, tmp_path_factory.mktemp("folders") / "first")


@pytest.fixture(scope="module")
def blocked(folder: Folder, world: World) -> tuple[Run, set[str], date]:
    """The first run, which finds the truncated file; the files it left; and its date."""
    run = folder.run(world.as_of)
    left = {path.name for path in folder.data.iterdir()} | {path.name for path in folder.published.parent.iterdir()}
    return run, left, world.as_of


@dataclass
class Outcome:
    """The undisturbed folder, the killed one, and what was seen meanwhile."""

    undisturbed: Folder
    killed: Folder
    dates: tuple[date, date]
    kills: list[Kill]
    before: str
    read: Reading
    #: How many runs held the one slot of those that write, when dbt's was killed.
    slots_held: int


def waiting(folder: Folder) -> str:
    """What a run says that waits for another."""
    return f"Another run is writing to {folder.data / 'warehouse'};"


@pytest.fixture(scope="module")
def outcome(blocked: tuple[Run, set[str], date], folder: Folder, world: World) -> Iterator[Outcome]:
    """The file is acknowledged. One folder is killed at every stage and run again; beside it two runs at once."""
    with (folder.repository / "dbt_project" / "seeds" / "acknowledged_rejects.csv").open("a") as seed:
        seed.write(f"consents,{digest(folder.landing / TRUNCATED)},,delivered again\n")
    first, second = world.as_of, world.next_day()
    killed, undisturbed = folder.copy("killed", world.landing), folder.copy("undisturbed", world.landing)
    try:
        yield go_through_kills(killed, undisturbed, first, second)
    finally:
        for run in (*killed.runs, *undisturbed.runs):
            if run.process.poll() is None:
                run.kill()


def go_through_kills(killed: Folder, undisturbed: Folder, first: date, second: date) -> Outcome:
    print(f"BAROMETER_SEED={SEED} repeats the moments")
    rng, pace = random.Random(SEED), Pace()
    before, slots_held = digest(killed.published), 0
    kills: list[Kill] = []
    with warehouse_lock(undisturbed.data / "warehouse", 0, print):
        pair = [undisturbed.start(second) for _ in range(2)]
        for run in pair:
            run.wait_for(lambda run=run: waiting(undisturbed) in run.output())  # type: ignore[misc]
    with reading(killed.published) as read:
        for stage in STAGES:
            # dbt itself is there for most of its stage
            share = rng.uniform(0.4, 0.9) if stage == "dbt" else rng.random()
            kill = kill_at(killed, second, Moment(stage, share), pace)
            if kill is not None:
                kills.append(kill)
            if stage == "dbt":
                slots_held = killed.slots_held()
        run_through(killed, second, pace)
    for run in pair:
        run.wait()
    return Outcome(undisturbed, killed, (first, second), kills, before, read, slots_held)


# a file that may hide a wish to be left alone


def test_a_truncated_file_of_consents_stops_extracts_but_not_the_publication(
    blocked: tuple[Run, set[str], date], folder: Folder
) -> None:
    run, files, _ = blocked
    assert run.process.returncode == 1
    assert "barometer.duckdb" in files
    assert "extracts" not in files
    output = run.output()
    assert "Barometer stopped: No extract is written: 1 rejected rows or files" in output
    assert f"consents: {TRUNCATED}" in output
    assert digest(folder.landing / TRUNCATED) in output
    assert "acknowledged_rejects.csv" in output
    # the summary of what is published is shown all the same
    assert "Users by engagement" in output
    assert "Traceback" not in output


def test_an_acknowledged_file_stops_nothing(outcome: Outcome) -> None:
    extracts = outcome.undisturbed.data / "extracts"
    assert [path.name for path in extracts.iterdir()] == [str(outcome.dates[1])]
    assert (extracts / str(outcome.dates[1]) / "engagement" / "engaged.csv").stat().st_size > 100


# two at once


def test_of_two_runs_at_once_one_waits_and_both_succeed(outcome: Outcome) -> None:
    outputs = [run.output() for run in outcome.undisturbed.runs]
    assert [run.process.returncode for run in outcome.undisturbed.runs] == [0, 0], outputs
    assert [output.count(waiting(outcome.undisturbed)) for output in outputs] == [1, 1]
    assert sorted("dbt: nothing changed" in output for output in outputs) == [False, True]
    assert answer(outcome.undisturbed.published)[0] == str(outcome.dates[1])


# kills


def test_it_was_killed_again_and_again(outcome: Outcome) -> None:
    # a stage may be over before its time has come
    assert len(outcome.kills) >= 4, outcome.kills
    assert "dbt" in {kill.stage for kill in outcome.kills}
    last = outcome.killed.runs[-1].output()
    assert "Loaded 0 rows of 0 new files" in last
    assert "dbt: nothing changed" in last


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_dbt_child_is_gone_within_seconds(outcome: Outcome) -> None:
    assert max(kill.orphans for kill in outcome.kills if kill.stage == "dbt") >= 1
    assert all(kill.seconds_of_orphans < 10 for kill in outcome.kills), outcome.kills


def test_the_published_file_of_before_stays_until_the_new_one_is_whole(outcome: Outcome) -> None:
    early = {kill.published for kill in outcome.kills if kill.stage in ("start", "loading", "dbt")}
    assert early == {outcome.before}
    assert {kill.published for kill in outcome.kills} <= {outcome.before, digest(outcome.killed.published)}


def test_readers_never_notice(outcome: Outcome) -> None:
    read = outcome.read
    assert read.errors == []
    assert read.reads > 20
    # each met two whole builds, one after the other
    first, second = (str(day) for day in outcome.dates)
    assert [[build.split()[0] for build in seen] for seen in read.builds] == [[first, second]] * 2


def test_the_next_run_starts_at_once(outcome: Outcome) -> None:
    # whoever has to wait for the lock says so
    assert not any("Another run is writing" in run.output() for run in outcome.killed.runs)


def test_the_killed_folder_ends_where_the_undisturbed_one_does(outcome: Outcome) -> None:
    assert differences_of(outcome.killed, outcome.undisturbed) == [], f"BAROMETER_SEED={SEED}"


def test_a_killed_run_keeps_its_slot_until_the_next_one_comes(outcome: Outcome) -> None:
    assert outcome.slots_held == 1
    assert outcome.killed.slots_held() == outcome.undisturbed.slots_held() == 0


def test_killed_runs_are_marked_as_failed(outcome: Outcome) -> None:
    failed, success = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
    statuses = outcome.killed.statuses()
    assert statuses[:2] == [failed, failed]
    assert statuses[-1] == success
    assert set(statuses) == {failed, success}
    assert outcome.undisturbed.statuses() == [failed, success, success]
