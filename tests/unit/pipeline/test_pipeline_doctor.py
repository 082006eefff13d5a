"""What doctor says of a data folder, what it mends, and what a rebuild puts aside."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
from datetime import date, datetime
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.command_line import prepare_dagster_home
from orchestration.doctor import machine, state
from orchestration.doctor.command import doctor, examine, rebuild
from orchestration.doctor.findings import BROKEN, OK, WARNING, Finding
from orchestration.doctor.scan import DAMAGED, HELD, Scan
from orchestration.errors import BarometerError
from orchestration.resources import PID_TAG, RUN_TAG
from orchestration.settings import Settings
from orchestration.warehouse import build_state, planned, prepare
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.lock import warehouse_lock

AS_OF = date(2026, 6, 30)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of folders in which a date was built, whole, and published."""
    settings = Settings(tmp_path / "landing", tmp_path / "data", AS_OF, date(2026, 7, 1))
    (settings.landing / "orders").mkdir(parents=True)
    (settings.landing / "orders" / "a.csv").write_text("order_id\n1\n")
    with open_duckdb(settings.working_file) as con:
        prepare.create_control_schema(con)
        build_state.store_fingerprint(con, "a build", build_state.ADDRESSES)
        con.execute("create schema raw")
        con.execute("create table raw.users as select 'user ' || i as user_id, hash(i) as h from range(200000) as t(i)")
    for file in (settings.build_file, settings.published_file):
        write_build(file, "a build", AS_OF)
    return settings


def write_build(file: Path, fingerprint: str, as_of: date) -> None:
    with open_duckdb(file) as con:
        build_state.create_history_schema(con)
        con.execute("create schema if not exists marts")
        con.execute("create or replace table marts.build_info(as_of date, is_final boolean, built_at timestamp)")
        built = build_state.BuiltDate(as_of, True, datetime(2026, 7, 1))
        con.execute("insert into marts.build_info values (?, ?, ?)", list(built))
        build_state.add_built_date(con, built)
        build_state.store_fingerprint(con, fingerprint)


def damage(file: Path) -> None:
    """Write random bytes into the middle of a file."""
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 3)
        opened.write(random.Random(1).randbytes(file.stat().st_size // 3))


def states(findings: list[Finding]) -> dict[str, str]:
    order = [OK, WARNING, BROKEN]
    worst: dict[str, str] = {}
    for finding in findings:
        worst[finding.about] = max(worst.get(finding.about, OK), finding.state, key=order.index)
    return worst


def test_a_sound_folder_is_all_right_and_stays_as_it_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BAROMETER_")]:
        monkeypatch.delenv(name)

    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in settings.data.rglob("*") if path.is_file()}

    before = files()
    found = examine(settings).findings
    assert {finding.state for finding in found} == {OK}, [finding.lines() for finding in found if finding.state != OK]
    (settings.warehouse / ".lock").unlink()
    assert files() == before
    said: list[str] = []
    doctor(settings, is_to_mend=False, say=said.append)
    assert any("working.duckdb: 11 tables, 200,001 rows, all read" in line for line in said), said
    assert not any("user 1" in line for line in said)


def test_a_folder_in_which_nothing_was_built_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "landing").mkdir()
    settings = Settings(tmp_path / "landing", tmp_path / "data", AS_OF, date(2026, 7, 1))
    assert states(examine(settings).findings)["warehouse"] == OK
    assert not settings.data.exists()


# the machine


def test_packages_are_compared_with_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "run.lock"
    lock.write_text(
        f"duckdb=={duckdb.__version__} \\\n    --hash=sha256:0\n    # via barometer\nPyYAML==1.0 ; os_name == 'posix'\n"
        "no-such-package==1.0 \\\nonly-elsewhere==1.0 ; sys_platform == 'plan9'\n"
    )
    (finding,) = (found for found in machine.versions(lock) if found.about == "packages")
    assert finding.state == WARNING
    assert "no-such-package is missing" in finding.said
    assert "locked is ==1.0" in finding.said
    assert "only-elsewhere" not in finding.said
    lock.write_text("duckdb==0.1\n")
    assert states(list(machine.versions(lock)))["packages"] == BROKEN


def test_a_misspelt_variable_is_named_without_its_value() -> None:
    (finding,) = machine.environment({"BAROMETER_LANDIG": "secret", "BAROMETER_DATA": "x"})
    assert finding.state == WARNING
    assert finding.said == "nothing asks for BAROMETER_LANDIG (meant BAROMETER_LANDING?)"


def test_a_landing_folder_that_is_away_or_has_dangling_links_is_told(settings: Settings) -> None:
    (settings.landing / "orders" / "b.csv").symlink_to("nowhere.csv")
    (finding,) = machine.landing(settings)
    assert (finding.state, "1 of 2" in finding.said) == (WARNING, True)
    settings.landing.rename(settings.landing.with_name("away"))
    assert [found.state for found in machine.landing(settings)] == [BROKEN]


# files


def test_a_damaged_file_is_put_aside_with_its_log_of_changes(settings: Settings) -> None:
    damage(settings.working_file)
    wal = settings.working_file.with_name("working.duckdb.wal")
    scan, (finding,) = state.duckdb_file(settings.working_file)
    assert scan is not None
    assert (scan.trouble, finding.state) == (DAMAGED, BROKEN)
    wal.write_bytes(b"x")
    assert finding.mend is not None
    assert "working.duckdb is now working.duckdb.broken-1" in finding.mend()
    left = {path.name for path in settings.warehouse.iterdir()}
    assert left >= {"working.duckdb.broken-1", "working.duckdb.broken-1.wal"}
    assert not left & {"working.duckdb", "working.duckdb.wal"}


def test_a_file_that_another_program_holds_is_not_damaged(settings: Settings) -> None:
    code = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    held = [sys.executable, "-c", code, str(settings.build_file)]
    with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        scan, (finding,) = state.duckdb_file(settings.build_file)
        process.communicate("")
    assert scan is not None
    assert (scan.trouble, finding.state, finding.mend) == (HELD, BROKEN, None)


def test_a_run_that_is_going_on_is_let_alone(settings: Settings) -> None:
    code = (
        "import sys; from pathlib import Path; from orchestration.warehouse.lock import warehouse_lock\n"
        "with warehouse_lock(Path(sys.argv[1]), 0, print): print('held', flush=True); sys.stdin.read()"
    )
    holder = [sys.executable, "-c", code, str(settings.warehouse)]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = examine(settings)
        process.communicate("")
    assert "run" in states(found.findings)
    assert set(found.scans) == {"barometer.duckdb"}


WHOLE = Scan(fingerprints={"build": "a", "addresses": "a"}, as_of="2026-06-30", is_final=True)
OTHER = Scan(fingerprints={"build": "b", "addresses": "b"}, as_of="2026-06-29", is_final=True)
HALF = Scan(fingerprints={"build": None, "addresses": None})


@pytest.mark.parametrize(
    ("working", "build", "published", "expected"),
    [
        (WHOLE, WHOLE, WHOLE, {"build": OK, "published": OK}),
        (WHOLE, WHOLE, OTHER, {"build": OK, "published": WARNING}),
        (OTHER, WHOLE, WHOLE, {"build": WARNING, "published": OK}),
        (HALF, HALF, OTHER, {"build": WARNING, "published": OK}),
        (WHOLE, WHOLE, HALF, {"build": OK, "published": BROKEN}),
        (WHOLE, WHOLE, None, {"build": OK, "published": WARNING}),
        (None, None, None, {"published": OK}),
        (None, Scan(trouble=DAMAGED), WHOLE, {"published": OK}),
    ],
)
def test_builds_are_whole_and_fit_each_other(
    working: Scan | None, build: Scan | None, published: Scan | None, expected: dict[str, str]
) -> None:
    assert states(list(state.builds(working, build, published))) == expected


def test_a_clock_that_is_behind_is_broken(settings: Settings) -> None:
    late = Settings(settings.landing, settings.data, AS_OF, AS_OF, is_today_given=False)
    assert state.clock(late, Scan(final_dates=["2026-06-30"])).state == BROKEN
    assert state.clock(settings, Scan(final_dates=["2026-06-30"])).state == OK


def test_planned_contacts_and_extracts_are_compared_with_what_was_written(settings: Settings) -> None:
    with duckdb.connect() as con:
        columns = ", ".join(f"'{name}' as {name}" for name in planned.COLUMNS)
        rows = f"select * replace (date '2026-07-01' as plan_date) from (select {columns})"
        planned.add_planned(con, settings.planned_contacts, date(2026, 7, 1), rows)
    assert state.planned_contacts(settings).state == OK
    (file,) = settings.planned_contacts.rglob("*.parquet")
    file.write_bytes(file.read_bytes() + b"x")
    assert state.planned_contacts(settings).state == BROKEN
    folder = settings.extracts / "2026-06-30"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"files": {"a.csv": "0"}}))
    assert [finding.state for finding in state.extracts(settings)] == [WARNING]


def test_damaged_records_of_runs_are_put_aside_but_never_those_of_others(settings: Settings) -> None:
    for path in (settings.dagster_home / "runs.db", settings.warehouse / "activation.sqlite"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(path) as con:
            con.execute("create table t as select 1")
        con.close()
    assert [finding.state for finding in state.records(settings)] == [OK]
    for path in (settings.dagster_home / "runs.db", settings.warehouse / "activation.sqlite"):
        path.write_bytes(b"x" * 4096)
    found = {finding.about: finding.mend for finding in state.records(settings)}
    assert found["warehouse/activation.sqlite"] is None
    mend = found["dagster/runs.db"]
    assert mend is not None
    mend()
    assert [path.name for path in settings.dagster_home.iterdir()] == ["runs.db.broken-1"]


def test_what_killed_runs_left_is_told_and_removed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", "")
    prepare_dagster_home(settings)
    process = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    with dg.DagsterInstance.from_config(str(settings.dagster_home)) as instance:
        tags = {PID_TAG: process.stdout.decode().strip(), RUN_TAG: "a"}
        instance.add_run(dg.DagsterRun("nightly", run_id="a", status=dg.DagsterRunStatus.STARTED, tags=tags))
    (settings.warehouse / ".barometer.duckdb.tmp").touch()
    (settings.extracts / ".2026-06-30.tmp").mkdir(parents=True)
    (settings.warehouse / "build.duckdb.broken-1").touch()
    found = examine(settings).findings
    assert states(found)["runs"] == states(found)["leftovers"] == WARNING
    said: list[str] = []
    doctor(settings, is_to_mend=True, say=said.append)
    assert any("1 killed runs are marked as failed" in line for line in said)
    assert any("2 half-made files and folders are removed" in line for line in said)
    found = examine(settings).findings
    assert states(found)["runs"] == OK
    # whoever put it aside may want it
    assert (settings.warehouse / "build.duckdb.broken-1").exists()


# a rebuild


class Rebuild:
    """What a rebuild said and ran."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.said: list[str] = []
        self.ran: list[date] = []

    def __call__(self, answer: str = "yes", wanted: date | None = None, is_sure: bool = False) -> set[str]:
        rebuild(self.settings, wanted, is_sure, lambda _: answer, self.said.append, self.ran.append)
        return {path.name for path in self.settings.warehouse.iterdir()} - {".lock"}


def test_a_rebuild_asks_first(settings: Settings) -> None:
    once = Rebuild(settings)
    with pytest.raises(BarometerError, match="Nothing was changed"):
        once(answer="")
    assert once.ran == []
    assert settings.working_file.exists()


def test_a_rebuild_keeps_the_history_of_a_sound_build(settings: Settings) -> None:
    once = Rebuild(settings)
    assert once() == {"working.duckdb.broken-1", "build.duckdb", "barometer.duckdb"}
    assert once.ran == [AS_OF]
    with open_duckdb(settings.build_file, read_only=True) as con:
        assert build_state.stored_fingerprint(con) is None
        assert build_state.final_dates(con) == {AS_OF}


def test_a_rebuild_puts_a_damaged_build_aside_and_says_what_is_lost(settings: Settings) -> None:
    settings.build_file.write_bytes(b"x" * 20000)
    once = Rebuild(settings)
    assert once(is_sure=True, answer="no") == {"working.duckdb.broken-1", "build.duckdb.broken-1", "barometer.duckdb"}
    assert once.ran == [AS_OF]
    assert any("segment history begin anew" in line for line in once.said)


def test_a_rebuild_of_an_earlier_date_leaves_nothing_of_the_later_ones(settings: Settings) -> None:
    once = Rebuild(settings)
    left = once(wanted=date(2026, 6, 28))
    assert left == {"working.duckdb.broken-1", "build.duckdb.broken-1", "barometer.duckdb.broken-1"}
    assert once.ran == [date(2026, 6, 28)]


def test_a_rebuild_needs_the_landing_folder_and_no_run_beside_it(settings: Settings) -> None:
    with warehouse_lock(settings.warehouse, 0, print), pytest.raises(BarometerError, match="Another run"):
        Rebuild(settings)()
    settings.landing.rename(settings.landing.with_name("away"))
    with pytest.raises(BarometerError, match="There is no folder"):
        Rebuild(settings)()
    assert settings.working_file.exists()
