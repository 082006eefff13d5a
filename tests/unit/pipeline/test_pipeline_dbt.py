"""dbt begun ahead: it runs what it is told, holds the lock, and is gone where nobody tells it anything."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from orchestration.warehouse.dbt import DbtAhead


def is_held(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def children() -> set[int]:
    return {int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()}


def test_it_runs_in_its_folder_what_it_is_told_and_holds_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with DbtAhead() as ahead:
        ahead.begin()
        # there is one child, however often it is begun
        before = children()
        ahead.begin()
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            environment = {**os.environ, "DBT_PROFILES_DIR": "nowhere"}
            process = ahead.start(["debug", "--config-dir"], environment, tmp_path, file.fileno())
        assert children() == before >= {process.pid}
        assert is_held(lock)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        assert "xdg-open nowhere" in said.decode(), said
        assert not is_held(lock)


def test_its_failure_is_told(tmp_path: Path) -> None:
    with DbtAhead() as ahead:
        ahead.begin()
        process = ahead.start(["no-such-command"], os.environ, tmp_path, None)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert b"No such command" in said


@pytest.mark.parametrize("is_killed", [False, True])
def test_without_a_child_that_waits_dbt_is_started_anew(tmp_path: Path, is_killed: bool) -> None:
    with DbtAhead() as ahead:
        if is_killed:
            before = children()
            ahead.begin()
            (waiting,) = children() - before
            os.kill(waiting, 9)
            os.waitid(os.P_PID, waiting, os.WEXITED | os.WNOWAIT)
        process = ahead.start(["--version"], os.environ, tmp_path, None)
        said, _ = process.communicate(timeout=120)
    assert (process.returncode, b"duckdb" in said) == (0, True), said


def test_told_nothing_it_is_gone() -> None:
    before = children()
    with DbtAhead() as ahead:
        ahead.begin()
        assert len(children() - before) == 1
    assert children() <= before
