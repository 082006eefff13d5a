"""The lock of the warehouse, and the child that dies with its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestration.errors import BarometerError
from orchestration.warehouse.lock import warehouse_lock

HOLD = """
import pathlib, subprocess, sys, time
from functools import partial
from os import getpid
from orchestration.warehouse.dbt import _die_with
from orchestration.warehouse.lock import warehouse_lock
with warehouse_lock(pathlib.Path(sys.argv[1]), 0, print) as lock:
    child = "0"
    if sys.argv[2] == "lasting":
        child = str(subprocess.Popen(["sleep", "60"], pass_fds=(lock,)).pid)
    if sys.argv[2] == "dying":
        child = str(subprocess.Popen(["sleep", "60"], pass_fds=(lock,), preexec_fn=partial(_die_with, getpid())).pid)
    print(child, flush=True)
    time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def hold(tmp_path: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], int]]]:
    """Starts a process that holds the lock, with a child or without; returns it and the child's number."""
    started: list[subprocess.Popen[str]] = []

    def start(child: str) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), child], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def is_free(warehouse: Path) -> bool:
    try:
        with warehouse_lock(warehouse, 0, lambda _: None):
            return True
    except BarometerError:
        return False


def test_is_exclusive_and_times_out_with_what_to_do(tmp_path: Path) -> None:
    said: list[str] = []
    with warehouse_lock(tmp_path / "warehouse", 0, said.append):
        started = time.monotonic()
        with (
            pytest.raises(BarometerError, match="Another run has held") as error,
            warehouse_lock(tmp_path / "warehouse", 0.5, said.append),
        ):
            pass
        assert 0.5 <= time.monotonic() - started < 3
    assert "Wait until it has ended" in error.value.hint
    assert len(said) == 1
    assert is_free(tmp_path / "warehouse")


def test_waits_with_one_message_and_goes_on(tmp_path: Path) -> None:
    said: list[str] = []
    order: list[str] = []
    holding = threading.Event()

    def first() -> None:
        with warehouse_lock(tmp_path, 0, said.append):
            holding.set()
            time.sleep(0.7)
            order.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    assert holding.wait(10)
    with warehouse_lock(tmp_path, 30, said.append):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert len(said) == 1
    assert "waiting up to 30 seconds" in said[0]


def test_is_freed_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), warehouse_lock(tmp_path, 0, print):
        raise ZeroDivisionError
    assert is_free(tmp_path)


def test_is_freed_when_its_holder_is_killed(
    tmp_path: Path, hold: Callable[[str], tuple[subprocess.Popen[str], int]]
) -> None:
    process, _ = hold("none")
    assert not is_free(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert is_free(tmp_path)


def test_is_held_while_a_child_that_inherited_it_lives(
    tmp_path: Path, hold: Callable[[str], tuple[subprocess.Popen[str], int]]
) -> None:
    process, child = hold("lasting")
    try:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_alive(child)
        assert not is_free(tmp_path)
    finally:
        os.kill(child, signal.SIGKILL)
    assert wait_until(lambda: is_free(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_child_dies_with_its_parent_and_frees_the_lock(
    tmp_path: Path, hold: Callable[[str], tuple[subprocess.Popen[str], int]]
) -> None:
    process, child = hold("dying")
    assert is_alive(child)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not is_alive(child))
    assert wait_until(lambda: is_free(tmp_path))
