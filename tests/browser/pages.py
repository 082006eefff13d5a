"""What is done on the pages of the Dagster UI, for the tests and for the screenshots."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING

from tests.browser.conftest import AS_OF, Ui

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

CHECK = "nothing_hides_a_wish_to_be_left_alone"
_RUN_SECONDS = 300
_ENDED = {"SUCCESS", "FAILURE", "CANCELED"}


def launch(context: BrowserContext, ui: Ui) -> str:
    """Start the job nightly for AS_OF as a person does, by clicking; return the run's id."""
    before = set(_runs(ui))
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(f"{ui.address}/locations/barometer/jobs/nightly")
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dates = dialog.get_by_placeholder("ex:")
    dates.fill(AS_OF)
    dates.press("Enter")
    dialog.get_by_role("button", name="Launch 1 run").click()
    page.get_by_text("Launched run").first.wait_for()
    page.close()
    (run_id,) = set(_runs(ui)) - before
    return run_id


def wait_for_run(context: BrowserContext, ui: Ui, run_id: str) -> str:
    """Wait until a run has ended; return what its page says of it."""
    deadline = time.monotonic() + _RUN_SECONDS
    while _runs(ui)[run_id] not in _ENDED:
        assert time.monotonic() < deadline, f"the run has not ended after {_RUN_SECONDS} s"
        time.sleep(1)
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.goto(f"{ui.address}/runs/{run_id}")
    outcome = page.get_by_text("Success", exact=True).or_(page.get_by_text("Failure", exact=True)).first
    outcome.wait_for()
    text = outcome.inner_text()
    page.close()
    return text


def open_asset(page: Page, ui: Ui, key: str, view: str = "overview") -> None:
    """Open the page of an asset and wait until it is there."""
    page.goto(f"{ui.address}/assets/{key}?view={view}")
    page.get_by_text(key.split("/")[-1], exact=True).first.wait_for()


def _runs(ui: Ui) -> dict[str, str]:
    """The status of every run by its id."""
    query = {"query": "{ runsOrError { ... on Runs { results { runId status } } } }"}
    request = urllib.request.Request(
        f"{ui.address}/graphql", json.dumps(query).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        results = json.load(answer)["data"]["runsOrError"]["results"]
    return {run["runId"]: run["status"] for run in results}
