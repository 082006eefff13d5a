"""Runs that are killed, runs side by side, and a run that may not write extracts: the real pipeline, from its command.

Runs cost many seconds each, so they are shared. In a copy of the repository a truncated file of consents stops the
extracts of a first day. It is acknowledged; on the second day one data folder is killed again and again while a copy of
it goes its way undisturbed, with two runs at once.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.resources import WRITER_POOL
from orchestration.settings import DBT_PROJECT, ROOT, settings_from_environment
from orchestration.warehouse.lock import warehouse_lock
from orchestration.warehouse.project import ensure_manifest
from tests.pipeline import RUN, environment

SAMPLE = ROOT / "data" / "sample"
#: Files of these months come with the second day: much to load, little to build.
LATE_MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")
FIRST, SECOND = "2026-06-30", "2026-07-01"
TRUNCATED = "consents/truncated.csv.gz"
#: Columns that say when, not what.
CLOCKS = {"built_at", "loaded_at", "seen_at", "seconds"}


@dataclass
class Run:
    """A run of the pipeline in a process of its own."""

    process: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = 600) -> int:
        return self.process.wait(seconds)

    def wait_for(self, condition: Callable[[], bool], seconds: float = 600) -> None:
        """Wait until the condition holds, while the run lives."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the run ended before its time:\n{self.output()}"
            assert time.monotonic() < deadline, f"nothing to see after {seconds} s:\n{self.output()}"
            time.sleep(0.02)

    def kill(self) -> list[int]:
        """End it with SIGKILL; return the numbers of its children."""
        children = children_of(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return children


@dataclass
class Folder:
    """A repository, a landing folder and a data folder."""

    repository: Path
    landing: Path
    data: Path
    runs: list[Run] = field(default_factory=list)

    @property
    def published(self) -> Path:
        return self.data / "warehouse" / "barometer.duckdb"

    def start(self, as_of: str) -> Run:
        log = self.data.with_name(f"{self.data.name}-{len(self.runs)}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                RUN,
                cwd=self.repository,
                env=environment(self.landing, self.data, date.fromisoformat(as_of)),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.runs.append(Run(process, log))
        return self.runs[-1]

    def run(self, as_of: str) -> Run:
        run = self.start(as_of)
        run.wait()
        return run

    def copy(self, name: str, landing: Path) -> Folder:
        data = self.data.with_name(name)
        shutil.copytree(self.data, data)
        return Folder(self.repository, landing, data)

    def statuses(self) -> list[dg.DagsterRunStatus]:
        """Of its Dagster runs, oldest first."""
        with dg.DagsterInstance.from_config(str(self.data / "dagster")) as instance:
            return [record.dagster_run.status for record in instance.get_run_records(ascending=True)]

    def slots_held(self) -> int:
        """How many runs hold the slot of those that write."""
        with dg.DagsterInstance.from_config(str(self.data / "dagster")) as instance:
            return len(instance.event_log_storage.get_concurrency_info(WRITER_POOL).active_run_ids)


def children_of(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(parent) == pid and state != "Z":
            found.append(int(path.parent.name))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def differences(one: Path, other: Path) -> list[str]:
    """Tables and views of two published files that don't hold the same rows; times and the record of runs apart."""
    found = []
    with duckdb.connect() as con:
        con.execute(f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)")
        columns: dict[str, dict[str, list[str]]] = {"one": {}, "other": {}}
        for database, schema, table, column in con.execute(
            "select database_name, schema_name, table_name, column_name from duckdb_columns() "
            "where database_name in ('one', 'other') and table_name <> 'pipeline_runs' order by column_index"
        ).fetchall():
            columns[database].setdefault(f'"{schema}"."{table}"', []).append(column)
        assert columns["one"] == columns["other"]
        for table, names in columns["one"].items():
            wanted = ", ".join(f'"{name}"' for name in names if name not in CLOCKS)
            for left, right in (("one", "other"), ("other", "one")):
                rows = con.execute(
                    f"select {wanted} from {left}.{table} except all select {wanted} from {right}.{table}"
                ).fetchall()
                found += [f"only in {left}: {table} {row}" for row in rows[:3]]
    return found


def whole_build(published: Path) -> str:
    """The date of a published file, after a look at whether all its tables speak of it."""
    with duckdb.connect(str(published), read_only=True) as con:
        dates = con.execute(
            "select as_of from marts.build_info union all (select distinct as_of from marts.user_360) "
            "union all (select distinct as_of from marts.rfm) "
            "union all (select distinct as_of from marts.user_segments)"
        ).fetchall()
    assert len(dates) == 4
    assert len(set(dates)) == 1
    return str(dates[0][0])


@contextmanager
def reading(published: Path) -> Iterator[list[str]]:
    """Opens the published file again and again, like a BI tool; yields the dates that it spoke of."""
    seen: list[str] = []
    errors: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.wait(0.5):
            try:
                seen.append(whole_build(published))
            except BaseException as error:
                errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()
    assert errors == []


# the runs


@pytest.fixture(scope="module")
def landings(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The landing folders of two days: a part of the sample and a truncated file of consents; all of the sample."""
    first, second = tmp_path_factory.mktemp("landing") / "first", tmp_path_factory.mktemp("landing") / "second"
    shutil.copytree(SAMPLE, first, ignore=lambda _, names: [name for name in names if name.startswith(LATE_MONTHS)])
    lines = "\n".join(f"u{n},email,withdrawn,2026-06-01T00:00:{n % 60:02}" for n in range(3000))
    content = gzip.compress(f"user_id,channel,status,occurred_at\n{lines}\n".encode())
    (first / TRUNCATED).write_bytes(content[: len(content) // 2])
    shutil.copytree(SAMPLE, second)
    shutil.copyfile(first / TRUNCATED, second / TRUNCATED)
    return first, second


@pytest.fixture(scope="module")
def folder(landings: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A copy of what a run needs of the repository, so that a seed can be edited."""
    # parsed once here, not in each copy
    ensure_manifest(settings_from_environment({"BAROMETER_DATA": str(tmp_path_factory.mktemp("data"))}))
    repository = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "orchestration", repository / "orchestration", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(DBT_PROJECT, repository / "dbt_project")
    shutil.copyfile(ROOT / "profiles.yml", repository / "profiles.yml")
    return Folder(repository, landings[0], tmp_path_factory.mktemp("folders") / "first")


@pytest.fixture(scope="module")
def blocked(folder: Folder) -> tuple[Run, set[str]]:
    """The first run, which finds the truncated file; and the files it left."""
    run = folder.run(FIRST)
    return run, {path.name for path in folder.data.iterdir()} | {
        path.name for path in folder.published.parent.iterdir()
    }


@dataclass
class Killed:
    """What was seen when a run was killed."""

    moment: str
    orphans: list[int]
    seconds_of_orphans: float
    published: str
    #: How many runs hold the one slot of those that write.
    slots_held: int


@dataclass
class Outcome:
    """The undisturbed folder, the killed one, and what was seen meanwhile."""

    undisturbed: Folder
    killed: Folder
    first_landing: Path
    kills: list[Killed]
    before: str
    dates_read: list[str]


def waiting(folder: Folder) -> str:
    """What a run says that waits for another."""
    return f"Another run is writing to {folder.data / 'warehouse'};"


def grows(path: Path) -> Callable[[], bool]:
    """Tells whether a file is larger than when it was first seen with something in it."""
    sizes: list[int] = []

    def check() -> bool:
        with suppress(FileNotFoundError):
            sizes.extend({path.stat().st_size} - {0})
        return bool(sizes) and sizes[-1] > sizes[0]

    return check


def kill(folder: Folder, moment: str, condition: Callable[[], bool]) -> Killed:
    run = folder.start(SECOND)
    run.wait_for(condition)
    orphans = run.kill()
    started = time.monotonic()
    while any(is_alive(pid) for pid in orphans) and time.monotonic() < started + 30:
        time.sleep(0.02)
    return Killed(moment, orphans, time.monotonic() - started, digest(folder.published), folder.slots_held())


@pytest.fixture(scope="module")
def outcome(blocked: tuple[Run, set[str]], folder: Folder, landings: tuple[Path, Path]) -> Iterator[Outcome]:
    """The file is acknowledged. One folder is killed at every stage and run again; beside it two runs at once."""
    with (folder.repository / "dbt_project" / "seeds" / "acknowledged_rejects.csv").open("a") as seed:
        seed.write(f"consents,{digest(folder.landing / TRUNCATED)},,delivered again\n")
    killed, undisturbed = folder.copy("killed", landings[1]), folder.copy("undisturbed", landings[1])
    try:
        yield go_through_kills(killed, undisturbed, landings[0])
    finally:
        for run in (*killed.runs, *undisturbed.runs):
            if run.process.poll() is None:
                run.kill()


def go_through_kills(killed: Folder, undisturbed: Folder, first_landing: Path) -> Outcome:
    before = digest(killed.published)
    temporary = killed.published.with_name(".barometer.duckdb.tmp")
    log_of_changes = killed.data / "warehouse" / "working.duckdb.wal"
    logs = killed.data / "logs"
    old_logs = set(logs.iterdir())

    def new_log() -> str:
        return "".join(path.read_text() for path in set(logs.iterdir()) - old_logs)

    with warehouse_lock(undisturbed.data / "warehouse", 0, print):
        pair = [undisturbed.start(SECOND) for _ in range(2)]
        for run in pair:
            run.wait_for(lambda run=run: waiting(undisturbed) in run.output())  # type: ignore[misc]
    with reading(killed.published) as dates_read:
        kills = [
            kill(killed, "loading", grows(log_of_changes)),
            kill(
                killed,
                "building",
                lambda: "OK created" in new_log() and ".int_user_orders_daily " in new_log(),
            ),
            kill(killed, "publishing", temporary.exists),
        ]
        last = killed.run(SECOND)
    assert last.process.returncode == 0, last.output()
    for run in pair:
        run.wait()
    return Outcome(undisturbed, killed, first_landing, kills, before, dates_read)


# a file that may hide a wish to be left alone


def test_a_truncated_file_of_consents_stops_extracts_but_not_the_publication(
    blocked: tuple[Run, set[str]], folder: Folder
) -> None:
    run, files = blocked
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
    assert [path.name for path in extracts.iterdir()] == [SECOND]
    assert (extracts / SECOND / "engagement" / "engaged.csv").stat().st_size > 100


# two at once


def test_of_two_runs_at_once_one_waits_and_both_succeed(outcome: Outcome) -> None:
    outputs = [run.output() for run in outcome.undisturbed.runs]
    assert [run.process.returncode for run in outcome.undisturbed.runs] == [0, 0], outputs
    assert [output.count(waiting(outcome.undisturbed)) for output in outputs] == [1, 1]
    assert sorted("dbt: nothing changed" in output for output in outputs) == [False, True]
    assert whole_build(outcome.undisturbed.published) == SECOND


# kills


def test_it_was_killed_where_it_should_be(outcome: Outcome) -> None:
    outputs = [run.output() for run in outcome.killed.runs]
    assert "Loaded" not in outputs[0]
    new_files = [int(found) for output in outputs[1:] for found in re.findall(r"rows of (\d+) new files", output)]
    of_that_day = len(list(outcome.killed.landing.rglob("*.*"))) - len(list(outcome.first_landing.rglob("*.*")))
    # what one file brought is there or not; at the very first none may be
    assert 0 < new_files[0] <= of_that_day
    assert new_files[1:] == [0, 0]
    assert "dbt: building" in outputs[1]
    assert "Published" not in outputs[1]
    assert "checks in" in outputs[2]
    assert "Published" not in outputs[2]
    assert "dbt: nothing changed" in outputs[3]
    assert "Published" in outputs[3]
    assert "Extracts written" in outputs[3]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_dbt_child_is_gone_within_seconds(outcome: Outcome) -> None:
    orphans = {kill.moment: (len(kill.orphans), kill.seconds_of_orphans) for kill in outcome.kills}
    assert orphans["building"][0] >= 1
    assert all(seconds < 10 for _, seconds in orphans.values()), orphans


def test_the_published_file_of_before_stays_until_the_new_one_is_whole(outcome: Outcome) -> None:
    published = {kill.moment: kill.published for kill in outcome.kills}
    assert set(published.values()) == {outcome.before}
    # the reader that opened it all the while met two whole builds, one after the other
    assert outcome.dates_read == sorted(outcome.dates_read)
    assert set(outcome.dates_read) == {FIRST, SECOND}


def test_the_next_run_starts_at_once(outcome: Outcome) -> None:
    # whoever has to wait for the lock says so
    assert not any("Another run is writing" in run.output() for run in outcome.killed.runs)


def test_the_killed_folder_ends_where_the_undisturbed_one_does(outcome: Outcome) -> None:
    killed, undisturbed = outcome.killed, outcome.undisturbed
    assert differences(killed.published, undisturbed.published) == []
    assert tree(killed.data / "extracts") == tree(undisturbed.data / "extracts")
    for data in (killed.data, undisturbed.data):
        left = {path.name for path in (data / "warehouse").iterdir()} - {"dbt"}
        assert left == {".lock", "working.duckdb", "build.duckdb", "barometer.duckdb"}


def test_a_killed_run_keeps_its_slot_until_the_next_one_comes(outcome: Outcome) -> None:
    assert {kill.moment: kill.slots_held for kill in outcome.kills} == {"loading": 1, "building": 1, "publishing": 1}
    assert outcome.killed.slots_held() == outcome.undisturbed.slots_held() == 0


def test_killed_runs_are_marked_as_failed(outcome: Outcome) -> None:
    failed, success = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.SUCCESS
    assert outcome.killed.statuses() == [failed, *[failed] * len(outcome.kills), success]
    assert outcome.undisturbed.statuses() == [failed, success, success]
