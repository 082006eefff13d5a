"""Runs that are killed, runs side by side, and a run that may not write extracts: the real pipeline, from its command.

In a copy of the repository a truncated file of consents stops the extracts of a first day. It is acknowledged; on the
second day one data folder is killed at a random moment of every stage, while other processes read what it publishes,
and a copy of it goes its way undisturbed, with two runs at once. `python -m tests.faults.soak` is the long form of it.
"""

from __future__ import annotations

import sys

import dagster as dg
import pytest

from orchestration.publish.publish import published_state
from tests.faults.harness import differences_of, digest
from tests.faults.reader import answer
from tests.faults.story import SEED, TRUNCATED, FirstDay, Outcome, waiting

# a file that may hide a wish to be left alone


def test_a_truncated_file_of_consents_stops_extracts_but_not_the_publication(
    blocked: FirstDay,
) -> None:
    run, files = blocked.run, blocked.files
    assert run.process.returncode == 1
    assert "barometer.duckdb" in files
    assert "extracts" not in files
    output = run.output()
    assert "Barometer stopped: No extract is written: 1 rejected rows or files" in output
    assert f"consents: {TRUNCATED}" in output
    assert digest(blocked.folder.landing / TRUNCATED) in output
    assert "acknowledged_rejects.csv" in output
    # the summary of what is published is shown all the same
    assert "Users by engagement" in output
    assert "Traceback" not in output


def test_an_acknowledged_file_stops_nothing(outcome: Outcome) -> None:
    extracts = outcome.undisturbed.data / "extracts"
    assert [path.name for path in extracts.iterdir()] == [str(outcome.second)]
    assert (extracts / str(outcome.second) / "engagement" / "engaged.csv").stat().st_size > 100


# two at once


def test_of_two_runs_at_once_one_waits_and_both_succeed(outcome: Outcome) -> None:
    outputs = [run.output() for run in outcome.undisturbed.runs]
    assert [run.process.returncode for run in outcome.undisturbed.runs] == [0, 0], outputs
    # the first to write may wait once more: it lets the other go on while it sends, and publishes its records then
    assert all(1 <= output.count(waiting(outcome.undisturbed)) <= 2 for output in outputs)
    assert sorted("dbt: nothing changed" in output for output in outputs) == [False, True]
    assert answer(outcome.undisturbed.published)[0] == str(outcome.second)


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
    after = published_state(outcome.killed.published).fingerprint
    assert {kill.published for kill in outcome.kills} <= {outcome.before, after} and None not in (outcome.before, after)


def test_readers_never_notice(outcome: Outcome) -> None:
    read = outcome.read
    assert read.errors == []
    assert read.reads > 20
    # each met two whole builds, one after the other
    first, second = str(outcome.first), str(outcome.second)
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
