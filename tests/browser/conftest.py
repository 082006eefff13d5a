"""The Dagster UI as a person sees it: started with the project's own command, looked at in Debian's chromium."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestration.settings import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Route

SAMPLE = ROOT / "data" / "sample"
AS_OF, TODAY = "2026-06-30", "2026-07-01"
TRUNCATED = "consents/cut_off.csv.gz"
WINDOW = {"width": 1600, "height": 1000}
_READY_SECONDS = 180


def chromium() -> str | None:
    """Where Debian's chromium is, or None."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass
class Ui:
    """The UI of a data folder of its own, and what its pages tried to reach outside this machine."""

    address: str
    landing: Path
    data: Path
    reached: list[str] = field(default_factory=list)

    def deliver_a_truncated_file(self) -> None:
        """Land a file of consents that was cut off: it may hide a wish to be left alone."""
        content = gzip.compress(b"user_id,channel,status,occurred_at\nu00001,email,withdrawn,2026-06-01\n" * 99)
        (self.landing / TRUNCATED).write_bytes(content[: len(content) // 2])


def start(folder: Path) -> tuple[Ui, subprocess.Popen[bytes]]:
    """Start `python -m orchestration dev` on a copy of the sample below ``folder``; return it when its page answers."""
    landing, data = folder / "landing", folder / "data"
    shutil.copytree(SAMPLE, landing, ignore=shutil.ignore_patterns("_*"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("BAROMETER_", "DAGSTER_"))}
    environment |= {
        "BAROMETER_LANDING": str(landing),
        "BAROMETER_DATA": str(data),
        "BAROMETER_AS_OF": AS_OF,
        "BAROMETER_TODAY": TODAY,
        "BAROMETER_SETTLE_SECONDS": "0",
    }
    log = (folder / "dev.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestration", "dev", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    ui = Ui(f"http://127.0.0.1:{port}", landing, data)
    deadline = time.monotonic() + _READY_SECONDS
    while not _answers(ui.address):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise AssertionError(f"the UI did not start:\n{(folder / 'dev.log').read_text()}")
        time.sleep(0.3)
    return ui, process


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/server_info", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, the daemon and the code server that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            continue
        # the parent has ended; those that it started may take longer
        time.sleep(1)


@pytest.fixture(scope="session")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """The UI on a copy of the sample."""
    if chromium() is None:
        pytest.skip("there is no chromium: install Debian's package of that name")
    ui, process = start(tmp_path_factory.mktemp("ui"))
    try:
        yield ui
    finally:
        stop(process)


@pytest.fixture(scope="session")
def context(ui: Ui) -> Iterator[BrowserContext]:
    """A window that reaches the UI and nothing else; what else it tries is noted and refused."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield window(browser, ui)
        browser.close()


@pytest.fixture(scope="session")
def first_run(context: BrowserContext, ui: Ui) -> str:
    """The outcome of a run that was started by clicking."""
    from tests.browser.pages import launch, wait_for_run

    return wait_for_run(context, ui, launch(context, ui))


def window(browser: Browser, ui: Ui) -> BrowserContext:
    """Open a window of ``browser`` that reaches ``ui`` alone."""
    opened = browser.new_context(viewport=WINDOW)

    def only_here(route: Route) -> None:
        if route.request.url.startswith((ui.address, "data:", "blob:")):
            route.continue_()
        else:
            ui.reached.append(route.request.url)
            route.abort()

    opened.route("**/*", only_here)
    opened.route_web_socket(
        lambda address: not address.startswith(ui.address.replace("http", "ws")),
        lambda socket: ui.reached.append(socket.url),
    )
    return opened


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A new tab."""
    from playwright.sync_api import expect

    # a page on a busy machine takes longer to fill itself than playwright's five seconds
    expect.set_options(timeout=60_000)
    tab = context.new_page()
    tab.set_default_timeout(60_000)
    yield tab
    tab.close()
