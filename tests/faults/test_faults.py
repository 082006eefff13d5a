"""A full disk, folders without rights, damaged files, a wrong clock: a clear error, and the published file as it was.

After mending, the run ends where an undisturbed one does.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration import clock
from orchestration.activation.assets import _open_with_one_thread
from orchestration.activation.configuration import configured
from orchestration.activation.extracts import write_extracts
from orchestration.errors import hint_of_machine
from orchestration.publish.publish import publish
from orchestration.settings import Settings
from orchestration.warehouse.build import build_of
from orchestration.warehouse.running_tests import current_tests
from tests.faults.harness import RECORDS_OF_RUNS, Folder, Run, differences, differences_of, digest, tree
from tests.faults.story import FirstDay, Outcome

LINUX_ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root on Linux can mount a disk, or give up rights"
)
#: They say in which order files were loaded, or follow from that.
ORDER_OF_LOADS = {*RECORDS_OF_RUNS, "load_files", "load_id", "build_state"}


@pytest.fixture
def sound(outcome: Outcome, tmp_path: Path) -> Folder:
    """A copy of the folder in which nothing went wrong."""
    return outcome.undisturbed.copy("sound", tmp_path, outcome.undisturbed.warm)


def settings_of(folder: Folder, as_of: date) -> Settings:
    return Settings(folder.landing, folder.data, as_of, as_of + timedelta(days=1))


def has_stopped(run: Run, *words: str) -> bool:
    """Whether a run ended with an error that says what to do, and these words, in lines without a traceback."""
    output = run.output()
    assert run.process.returncode == 1, output
    assert "Traceback" not in output
    error = output.partition("Barometer stopped: ")[2]
    assert "\nWhat to do: " in error, output
    assert all(word in error for word in words), output
    return True


def lists(extracts: Path) -> dict[str, str]:
    """The files of extracts, without those that say of which build they are."""
    return {name: sum_ for name, sum_ in tree(extracts).items() if not name.endswith("manifest.json")}


# a full disk


@dataclass
class Disk:
    """A small disk of its own."""

    path: Path

    def leave(self, megabytes: float) -> None:
        """Let so much be free."""
        for _ in range(50):
            about = os.statvfs(self.path)
            size = (about.f_blocks - about.f_bfree) * about.f_frsize + int(megabytes * 1e6)
            resize = ["mount", "-o", f"remount,size={size}", str(self.path)]
            if subprocess.run(resize, check=False, capture_output=True).returncode == 0:
                return
            # somebody wrote meanwhile, and it would not fit
            time.sleep(0.1)
        raise AssertionError(f"{self.path} can't be made smaller")


@contextmanager
def mounted(path: Path) -> Iterator[Disk]:
    path.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(path)], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True, capture_output=True)


@dataclass
class Ladder:
    """Runs of the second day with a warehouse on a disk that is full, then not quite, then has room.

    Before the last one a file is damaged, and doctor mends that.
    """

    folder: Folder
    loading: Run
    building: Run
    doctor: Run
    fix: Run
    mended: Run
    #: The published file before, and after each run.
    published: list[str]


@pytest.fixture(scope="module")
def ladder(blocked: FirstDay, outcome: Outcome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ladder]:
    data = tmp_path_factory.mktemp("disk") / "full"
    shutil.copytree(blocked.folder.data, data, ignore=shutil.ignore_patterns("warehouse"))
    with mounted(data / "warehouse") as disk:
        shutil.copytree(blocked.folder.data / "warehouse", disk.path, dirs_exist_ok=True)
        folder = replace(outcome.undisturbed, data=data, runs=[])
        published = [digest(folder.published)]
        disk.leave(0.0)
        runs = [folder.run(outcome.second)]
        published.append(digest(folder.published))
        disk.leave(400.0)
        building = folder.start(outcome.second)
        building.wait_for(lambda: "dbt: building" in building.output())
        disk.leave(0.5)
        building.wait()
        runs.append(building)
        published.append(digest(folder.published))
        disk.leave(400.0)
        # much of it, since some blocks are free
        working = folder.data / "warehouse" / "working.duckdb"
        damage(working, 0.2, working.stat().st_size // 2)
        for arguments in (("doctor",), ("doctor", "--fix"), ("run",)):
            runs.append(folder.forked(*arguments, as_of=outcome.second))
            runs[-1].wait()
        for aside in working.parent.glob("working.duckdb.broken-1*"):
            aside.unlink()
        yield Ladder(folder, *runs, [*published, digest(folder.published)])


@LINUX_ROOT
def test_a_full_disk_stops_a_run_while_it_loads(ladder: Ladder) -> None:
    assert has_stopped(ladder.loading, "Make room")
    assert "Loading" in ladder.loading.output()
    assert "Loaded" not in ladder.loading.output()


@LINUX_ROOT
def test_a_full_disk_stops_a_run_while_dbt_builds(ladder: Ladder) -> None:
    assert has_stopped(ladder.building, "dbt failed", "Make room")


@LINUX_ROOT
def test_doctor_names_a_damaged_file_and_puts_it_aside(ladder: Ladder) -> None:
    assert has_stopped(ladder.doctor, "Something is broken")
    assert "broken   working.duckdb: is damaged" in ladder.doctor.output()
    assert ladder.fix.process.returncode == 0, ladder.fix.output()
    assert "mended   working.duckdb: working.duckdb is now working.duckdb.broken-1" in ladder.fix.output()


@LINUX_ROOT
def test_with_room_and_without_damage_it_ends_where_an_undisturbed_run_does(ladder: Ladder, outcome: Outcome) -> None:
    folder, other = ladder.folder, outcome.undisturbed
    assert ladder.mended.process.returncode == 0, ladder.mended.output()
    assert ladder.published[0] == ladder.published[1] == ladder.published[2] != ladder.published[3]
    assert differences(folder.published, other.published, ORDER_OF_LOADS) == []
    assert tree(folder.data / "planned_contacts") == tree(other.data / "planned_contacts")
    assert lists(folder.data / "extracts") == lists(other.data / "extracts") != {}
    assert folder.leftovers() == []


@LINUX_ROOT
def test_a_full_disk_while_publishing_leaves_the_file_of_before(
    sound: Folder, blocked: FirstDay, outcome: Outcome, tmp_path: Path
) -> None:
    build_file = settings_of(sound, outcome.second).build_file
    with mounted(tmp_path / "disk") as disk:
        published = disk.path / "barometer.duckdb"
        shutil.copyfile(blocked.folder.published, published)
        before = digest(published)
        disk.leave(5)
        with pytest.raises(OSError, match="No space left") as error:
            publish(build_file, published, outcome.second, 0.001, "stop", None, {})
        assert "Make room" in (hint_of_machine(str(error.value)) or "")
        assert [path.name for path in disk.path.iterdir()] == ["barometer.duckdb"]
        assert digest(published) == before
        disk.leave(100)
        publish(build_file, published, outcome.second, 0.001, "stop", None, {})
        assert differences(published, outcome.undisturbed.published) == []


@LINUX_ROOT
def test_a_full_disk_while_extracting_shows_no_half_of_a_list(sound: Folder, outcome: Outcome, tmp_path: Path) -> None:
    settings = settings_of(sound, outcome.second)

    def write(extracts: Path) -> None:
        with _open_with_one_thread(settings, build_of(settings)) as con:
            write_extracts(
                con, extracts, settings.planned_contacts, settings.as_of, "a build", current_tests(), configured()
            )

    with mounted(tmp_path / "disk") as disk:
        disk.leave(0.05)
        with pytest.raises((OSError, duckdb.Error)) as error:
            write(disk.path)
        assert "Make room" in (hint_of_machine(str(error.value)) or "")
        assert [path.name for path in disk.path.iterdir() if not path.name.startswith(".")] == []
        disk.leave(20)
        write(disk.path)
        assert lists(disk.path) == lists(outcome.undisturbed.data / "extracts") != {}
    assert tree(settings.planned_contacts) == tree(outcome.undisturbed.data / "planned_contacts")


# rights


def take_right_to_write(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)


@LINUX_ROOT
@pytest.mark.parametrize(
    ("name", "take", "words"),
    [
        ("data", take_right_to_write, ("can't be written to", "BAROMETER_DATA")),
        ("data/warehouse", take_right_to_write, (".lock", "right to read the landing folder and to write")),
        ("landing", lambda folder: folder.chmod(0), ("landing", "right to read the landing folder")),
    ],
)
def test_a_folder_without_rights_stops_a_run(
    sound: Folder, outcome: Outcome, tmp_path: Path, name: str, take: Callable[[Path], None], words: tuple[str, ...]
) -> None:
    sound.landing = Path(shutil.copytree(sound.landing, tmp_path / "landing"))
    sound.data = sound.data.rename(tmp_path / "data")
    before = digest(sound.published)
    take(tmp_path / name)
    assert has_stopped(sound.run(outcome.second, is_unprivileged=True), *words)
    assert digest(sound.published) == before


# damaged files


def damage(path: Path, share: float, size: int = 1 << 20) -> None:
    """Write random bytes into a file, from a share of its size on."""
    with path.open("r+b") as file:
        file.seek(int(share * path.stat().st_size))
        file.write(random.Random(1).randbytes(size))


def cut(path: Path, share: float) -> None:
    os.truncate(path, int(share * path.stat().st_size))


@pytest.mark.parametrize(
    ("name", "harm", "share"),
    [("working.duckdb", damage, 0.0), ("working.duckdb", cut, 0.0), ("build.duckdb", cut, 0.5)],
)
def test_a_damaged_file_stops_a_run_and_doctor_is_named(
    sound: Folder, outcome: Outcome, name: str, harm: Callable[[Path, float], None], share: float
) -> None:
    before = digest(sound.published)
    harm(sound.data / "warehouse" / name, share)
    assert has_stopped(sound.run(outcome.second), name, "make doctor ARGS=--fix")
    assert digest(sound.published) == before


def test_a_published_file_that_cannot_be_opened_is_published_again(sound: Folder, outcome: Outcome) -> None:
    damage(sound.published, 0.0)
    run = sound.run(outcome.second)
    assert run.process.returncode == 0, run.output()
    assert differences_of(sound, outcome.undisturbed) == []


def test_a_published_file_that_is_damaged_further_in_is_found_by_doctor(sound: Folder, outcome: Outcome) -> None:
    # nearly all of it, since many blocks are free
    damage(sound.published, 0.02, int(sound.published.stat().st_size * 0.97))
    before = tree(sound.data / "warehouse")
    doctor = sound.forked("doctor", as_of=outcome.second)
    assert (doctor.wait(), tree(sound.data / "warehouse")) == (1, before), doctor.output()
    assert "broken   barometer.duckdb: is damaged" in doctor.output()
    assert sound.forked("doctor", "--fix", as_of=outcome.second).wait() == 0, sound.runs[-1].output()
    assert sound.run(outcome.second).process.returncode == 0, sound.runs[-1].output()
    sound.published.with_name("barometer.duckdb.broken-1").unlink()
    assert differences_of(sound, outcome.undisturbed) == []


# a clock that jumps


def build_only(folder: Folder, as_of: date) -> None:
    """Let the list of built dates hold this one alone."""
    with duckdb.connect(str(folder.data / "warehouse" / "build.duckdb")) as con:
        con.execute("delete from history.built_dates")
        con.execute("insert into history.built_dates(as_of, is_final, built_at) values (?, true, now())", [as_of])


@pytest.mark.parametrize(
    ("days", "words"),
    [(3, ("The clock is wrong", "Set the machine's clock")), (-40, ("No run by itself", "--as-of"))],
)
def test_a_clock_that_jumped_stops_a_run_that_asks_for_no_date(
    sound: Folder, outcome: Outcome, days: int, words: tuple[str, ...]
) -> None:
    build_only(sound, clock.today("UTC") + timedelta(days=days))
    before = digest(sound.published)
    run = sound.run(outcome.second, variables={"BAROMETER_TODAY": "", "BAROMETER_AS_OF": ""})
    assert has_stopped(run, *words)
    assert digest(sound.published) == before
