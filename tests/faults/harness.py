"""Runs the pipeline in processes that are killed, at moments drawn by stage, while other processes read."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import dagster as dg
import duckdb

from orchestration.publish.publish import published_state
from orchestration.resources import WRITER_POOL
from orchestration.settings import DBT_PROJECT, ROOT, settings_from_environment
from orchestration.warehouse.project import ensure_manifest
from tests.pipeline import RUN, environment

#: The stages of a run, and what its output says when each begins.
STAGES = {
    "start": "",
    "loading": r" s  Loading ",
    "dbt": r" s  Loaded ",
    "publishing": r" s  dbt: (\d+ models, seeds and checks in|nothing changed)",
    "extracting": r" s  (Published|Already published)",
    "sending": r" s  (Extracts (written|unchanged)|No extracts)",
    "end": r" s  Records of the sync",
}
#: What lies in the folder of the warehouse when no run goes on.
AT_REST = {
    ".lock",
    "dbt",
    "working.duckdb",
    "build.duckdb",
    "barometer.duckdb",
    "activation.sqlite",
    ".sync_files.lock",
}
#: Columns that say when, not what; tables that say how often and how long it ran.
CLOCKS = {"built_at", "loaded_at", "seen_at", "seconds"}
RECORDS_OF_RUNS = {"pipeline_runs", "sync_runs", "sync_rows"}
#: Seconds of each stage until a run has told.
_GUESSES = {"start": 8.0, "loading": 1.0, "dbt": 6.0, "publishing": 1.0, "extracting": 1.0, "sending": 2.0, "end": 2.0}


class Process(Protocol):
    """What is asked of the process of a run."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...


@dataclass
class Run:
    """A run of the pipeline in a process of its own."""

    process: Process
    log: Path
    is_cold: bool = True

    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def wait(self, seconds: float = 1800) -> int:
        return self.process.wait(seconds)

    def stage(self) -> str:
        """The last stage that it has begun, by what it said."""
        output = self.output()
        return [stage for stage, mark in STAGES.items() if re.search(mark, output)][-1]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 1800) -> None:
        """Wait until the condition holds, while the run lives."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"the run ended before its time:\n{self.output()}"
            assert time.monotonic() < deadline, f"nothing to see after {seconds} s:\n{self.output()}"
            time.sleep(0.01)

    def kill(self) -> list[int]:
        """End it with SIGKILL; return the numbers of its children."""
        children = children_of(self.process.pid)
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return children


class WarmStart:
    """Forks runs of a repository from a process that has imported all they need."""

    def __init__(self, repository: Path) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("warm.py"))],
            cwd=repository,
            env={**environment(repository, repository, date(2000, 1, 1)), "PYTHONPATH": str(repository)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ended: dict[int, int] = {}
        assert self._line(None) == "ready"

    def start(
        self, arguments: Sequence[str], variables: dict[str, str], log: Path, is_unprivileged: bool = False
    ) -> Process:
        assert self._server.stdin is not None
        told = {
            "arguments": list(arguments),
            "environment": variables,
            "log": str(log),
            "is_unprivileged": is_unprivileged,
        }
        self._server.stdin.write(json.dumps(told) + "\n")
        self._server.stdin.flush()
        while " " in (line := self._line(None)):
            self._note(line)
        return _Forked(int(line), self)

    def ended(self, pid: int, seconds: float | None) -> int | None:
        """With what a run ended, None while it goes on; wait so long for it (None: as long as it takes)."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while pid not in self._ended:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            line = self._line(left)
            if not line:
                return None
            self._note(line)
        return self._ended[pid]

    def stop(self) -> None:
        self._server.kill()
        self._server.wait()

    def _note(self, line: str) -> None:
        pid, status = line.split()
        self._ended[int(pid)] = int(status)

    def _line(self, seconds: float | None) -> str:
        """The next line of the server, empty if none came in time."""
        assert self._server.stdout is not None
        # one line at a time, unbuffered: select sees what is there
        descriptor = self._server.stdout.fileno()
        read = b""
        while not read.endswith(b"\n"):
            if not read and not select.select([descriptor], [], [], seconds)[0]:
                return ""
            part = os.read(descriptor, 1)
            assert part, "the process that forks runs is gone"
            read += part
        return read.decode().strip()


class _Forked:
    def __init__(self, pid: int, server: WarmStart) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server

    def poll(self) -> int | None:
        self.returncode = self._server.ended(self.pid, 0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self.returncode = self._server.ended(self.pid, timeout)
        assert self.returncode is not None, f"the run did not end within {timeout} s"
        return self.returncode

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)


@dataclass
class Folder:
    """A repository, a landing folder and a data folder."""

    repository: Path
    landing: Path
    data: Path
    runs: list[Run] = field(default_factory=list)
    #: Where runs are forked; without it each is started as the command is.
    warm: WarmStart | None = None

    @property
    def published(self) -> Path:
        return self.data / "warehouse" / "barometer.duckdb"

    @property
    def scratch(self) -> Path:
        """Where its runs put what is for a moment."""
        return self.data.with_name(f"{self.data.name}-tmp")

    def start(self, as_of: date, is_cold: bool = False, **others: Any) -> Run:
        """Begin a run; ``others`` are those of `forked`, for which ``warm`` must be there."""
        if self.warm is not None and not is_cold:
            return self.forked("run", as_of=as_of, **others)
        log = self.data.with_name(f"{self.data.name}-{len(self.runs)}.log")
        self.scratch.mkdir(parents=True, exist_ok=True)
        variables = {**environment(self.landing, self.data, as_of), "TMPDIR": str(self.scratch)}
        with log.open("wb") as output:
            process = subprocess.Popen(RUN, cwd=self.repository, env=variables, stdout=output, stderr=subprocess.STDOUT)
        self.runs.append(Run(process, log))
        return self.runs[-1]

    def forked(
        self,
        *arguments: str,
        as_of: date,
        variables: Mapping[str, str] = MappingProxyType({}),
        is_unprivileged: bool = False,
    ) -> Run:
        """Begin a command in a forked process."""
        assert self.warm is not None
        log = self.data.with_name(f"{self.data.name}-{len(self.runs)}.log")
        self.scratch.mkdir(parents=True, exist_ok=True)
        log.touch()
        given = {**environment(self.landing, self.data, as_of), "TMPDIR": str(self.scratch), **variables}
        self.runs.append(Run(self.warm.start(arguments, given, log, is_unprivileged), log, is_cold=False))
        return self.runs[-1]

    def run(self, as_of: date, **others: Any) -> Run:
        run = self.start(as_of, **others)
        run.wait()
        return run

    def copy(self, name: str, to: Path | None = None, warm: WarmStart | None = None) -> Folder:
        """Copy the data folder, beside it or to another folder, which may be there."""
        data = (to or self.data.parent) / name
        shutil.copytree(self.data, data)
        return Folder(self.repository, self.landing, data, warm=warm)

    def statuses(self) -> list[dg.DagsterRunStatus]:
        """Of its Dagster runs, oldest first."""
        with dg.DagsterInstance.from_config(str(self.data / "dagster")) as instance:
            return [record.dagster_run.status for record in instance.get_run_records(ascending=True)]

    def slots_held(self) -> int:
        """How many runs hold the slot of those that write."""
        with dg.DagsterInstance.from_config(str(self.data / "dagster")) as instance:
            return len(instance.event_log_storage.get_concurrency_info(WRITER_POOL).active_run_ids)

    def leftovers(self) -> list[str]:
        """What killed runs left and nobody needs."""
        hidden = [
            str(path.relative_to(self.data))
            for path in self.data.rglob("*")
            if path.name.endswith((".tmp", ".wal", ".old", ".new")) and "dagster" not in path.parts
        ]
        strangers = {path.name for path in (self.data / "warehouse").iterdir()} - AT_REST
        return sorted({*hidden, *(f"warehouse/{name}" for name in strangers), *map(str, self.scratch.iterdir())})


def copy_repository(to: Path) -> Path:
    """Copy what a run needs of the repository, parsed, so that a seed can be edited."""
    # parsed once here, not in each copy
    ensure_manifest(settings_from_environment({"BAROMETER_DATA": str(to / "parsing")}))
    shutil.copytree(ROOT / "orchestration", to / "orchestration", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(DBT_PROJECT, to / "dbt_project")
    shutil.copytree(ROOT / "requirements", to / "requirements")
    shutil.copyfile(ROOT / "profiles.yml", to / "profiles.yml")
    return to


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


# what differs


def differences(one: Path, other: Path, left_out: Collection[str] = RECORDS_OF_RUNS) -> list[str]:
    """Tables and views of two published files that don't hold the same rows.

    ``left_out`` are tables, and columns, that may differ beside clocks.
    """
    found = []
    with duckdb.connect() as con:
        con.execute(f"attach '{one}' as one (read_only); attach '{other}' as other (read_only)")
        columns: dict[str, dict[str, list[str]]] = {"one": {}, "other": {}}
        for database, schema, table, column in con.execute(
            "select database_name, schema_name, table_name, column_name from duckdb_columns() "
            "where database_name in ('one', 'other') order by column_index"
        ).fetchall():
            if table not in left_out and column not in left_out:
                columns[database].setdefault(f'"{schema}"."{table}"', []).append(column)
        if columns["one"] != columns["other"]:
            return [f"other tables or columns: {columns['one'].keys() ^ columns['other'].keys() or 'columns'}"]
        for table, names in columns["one"].items():
            wanted = ", ".join(f'"{name}"' for name in names if name not in CLOCKS)
            for left, right in (("one", "other"), ("other", "one")):
                rows = con.execute(
                    f"select {wanted} from {left}.{table} except all select {wanted} from {right}.{table}"
                ).fetchall()
                found += [f"only in {left}: {table} {row}" for row in rows[:3]]
    return found


def differences_of(one: Folder, other: Folder) -> list[str]:
    """What is not the same in two data folders: tables, extracts, planned contacts; and what should not be there."""
    found = differences(one.published, other.published)
    for name in ("extracts", "planned_contacts", "deliveries"):
        trees = tree(one.data / name), tree(other.data / name)
        found += [f"{name}: {path}" for path in sorted(dict(trees[0].items() ^ trees[1].items()))]
    return found + [f"left in {folder.data.name}: {name}" for folder in (one, other) for name in folder.leftovers()]


# kills


@dataclass(frozen=True)
class Moment:
    """When a run is to be killed: so far into a stage, as a share of the time that it takes."""

    stage: str
    share: float


@dataclass(frozen=True)
class Kill:
    """A kill: in which stage it fell, and what was seen then."""

    stage: str
    orphans: int
    seconds_of_orphans: float
    published: str | None


class Pace:
    """How long each stage takes here, as the last runs that came through it told."""

    def __init__(self) -> None:
        self._seconds = dict(_GUESSES)

    def of(self, stage: str) -> float:
        return self._seconds[stage]

    def learn(self, run: Run, seconds: float) -> None:
        """Take the times that a run printed, which has ended by itself after so many seconds."""
        output = run.output()
        begins: dict[str, float] = {"start": 0.0}
        for stage, mark in STAGES.items():
            if mark and (found := re.search(rf"([\d.]+){mark}", output)):
                begins[stage] = float(found[1])
        names = [*begins, "over"]
        begins["over"] = max(seconds, *begins.values())
        for name, following in zip(names, names[1:], strict=False):
            took = begins[following] - begins[name]
            # dbt that had nothing to do says nothing of one that has, nor a forked run of one that has to import
            if (name != "start" or run.is_cold) and (name != "dbt" or "dbt: nothing changed" not in output):
                self._seconds[name] = max(took, 0.3)


def draw_moments(rng: random.Random, kills: int, stages: Sequence[str] = tuple(STAGES)) -> list[Moment]:
    """Draw moments such that all stages get their share; mostly in the order of a run, so that there is work left."""
    drawn = [stages[number % len(stages)] for number in range(kills)]
    rng.shuffle(drawn)
    if rng.random() < 0.7:
        drawn.sort(key=list(STAGES).index)
    return [Moment(stage, rng.random()) for stage in drawn]


def kill_at(folder: Folder, as_of: date, moment: Moment, pace: Pace) -> Kill | None:
    """Start a run and kill it at a moment; None if it came through before, as it should then."""
    # only a cold start is long enough to be killed in
    run, started = folder.start(as_of, is_cold=moment.stage == "start"), time.monotonic()
    stages = list(STAGES)
    while run.process.poll() is None and stages.index(run.stage()) < stages.index(moment.stage):
        time.sleep(0.05)
    deadline = time.monotonic() + moment.share * pace.of(moment.stage)
    while run.process.poll() is None and time.monotonic() < deadline:
        time.sleep(min(0.05, max(deadline - time.monotonic(), 0)))
    if run.process.poll() is not None:
        assert run.process.returncode == 0, run.output()
        pace.learn(run, time.monotonic() - started)
        return None
    orphans = run.kill()
    died = time.monotonic()
    while any(is_alive(pid) for pid in orphans) and time.monotonic() < died + 30:
        time.sleep(0.01)
    published = published_state(folder.published).fingerprint if folder.published.exists() else None
    return Kill(run.stage(), len(orphans), time.monotonic() - died, published)


def run_through(folder: Folder, as_of: date, pace: Pace) -> Run:
    """Run undisturbed, which must succeed."""
    started = time.monotonic()
    run = folder.run(as_of)
    assert run.process.returncode == 0, run.output()
    pace.learn(run, time.monotonic() - started)
    return run


# readers


@dataclass
class Reading:
    """What the readers of a published file saw: answers, builds in the order of each reader, errors."""

    reads: int = 0
    builds: list[list[str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def distinct_builds(self) -> set[str]:
        return {build for seen in self.builds for build in seen}


@contextmanager
def reading(published: Path, readers: int = 2, pause: float = 0.3) -> Iterator[Reading]:
    """Let other processes read a published file again and again; yields what they saw, known when they have ended."""
    command = [sys.executable, "-m", "tests.faults.reader", str(published), str(pause)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(readers)
    ]
    seen = Reading()
    try:
        yield seen
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            said, _ = process.communicate(timeout=120)
            try:
                told = json.loads(said.strip().rpartition("\n")[2])
            except ValueError:
                seen.errors.append(f"a reader ended: {said[-500:]}")
                continue
            seen.reads += told["reads"]
            seen.builds.append(told["builds"])
            seen.errors += told["errors"]


def count_stages(kills: Sequence[Kill]) -> Counter[str]:
    return Counter(kill.stage for kill in kills)
