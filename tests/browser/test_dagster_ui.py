"""What a data engineer does in the Dagster UI: look at the assets, start a run, read what came of it, find what failed.

Two runs are started, in the order of the tests: one by clicking, which succeeds; one after a file of consents that was
cut off has landed, in which a check stops the extracts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import AS_OF, TRUNCATED, Ui
from tests.browser.pages import CHECK, launch, open_asset, wait_for_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

GROUPS = (
    "raw",
    "control",
    "policy",
    "staging",
    "intermediate",
    "as_of",
    "families",
    "marts",
    "publish",
    "extracts",
    "report",
)


@pytest.fixture(scope="session")
def first_run(context, ui: Ui) -> str:  # type: ignore[no-untyped-def]
    """The outcome of a run that was started by clicking."""
    return wait_for_run(context, ui, launch(context, ui))


@pytest.fixture(scope="session")
def second_run(context, ui: Ui, first_run: str) -> str:  # type: ignore[no-untyped-def]
    """The outcome of a run after a file that may hide a wish to be left alone has landed."""
    ui.deliver_a_truncated_file()
    return wait_for_run(context, ui, launch(context, ui))


def test_the_asset_graph_shows_every_group(page: Page, ui: Ui) -> None:
    from playwright.sync_api import expect

    page.goto(f"{ui.address}/asset-groups")
    for group in GROUPS:
        # in the graph, not in the list beside it
        expect(page.locator("foreignObject").get_by_text(group, exact=True)).to_be_visible()


def test_a_run_started_by_clicking_succeeds(ui: Ui, first_run: str) -> None:
    assert first_run == "Success"
    assert (ui.data / "extracts" / AS_OF).exists()


def test_an_asset_shows_its_rows_and_its_columns(page: Page, ui: Ui, first_run: str) -> None:
    from playwright.sync_api import expect

    open_asset(page, ui, "marts/contact_pressure")
    main = page.locator("body")
    expect(main).to_contain_text("Row count")
    expect(main).to_contain_text(re.compile(r"Row count\s*[12],\d{3}"))
    expect(main).to_contain_text("How much each user gets from all vendors together.")
    expect(main).to_contain_text("Contacts of the last 7 days, as_of included (messages)")
    expect(main).to_contain_text("data-engineering")
    expect(main).to_contain_text(AS_OF)


def test_the_published_file_shows_its_plots(page: Page, ui: Ui, first_run: str) -> None:
    from playwright.sync_api import expect

    open_asset(page, ui, "published/barometer_duckdb")
    for plot, label in (
        ("users_by_engagement", "dormant"),
        ("users_by_rfm", "champions"),
        ("users_by_pressure_status", "over_cap"),
    ):
        row = page.get_by_role("row").filter(has_text=plot)
        expect(row).to_contain_text(re.compile(rf"{label} +█+[^█]? \d+"))


def test_the_report_of_a_run(page: Page, ui: Ui, first_run: str) -> None:
    from playwright.sync_api import expect

    open_asset(page, ui, "report/run")
    report = page.get_by_role("row").filter(has_text=f"The nightly run of {AS_OF}").last
    for text in ("Loaded", "Rejected", "Skipped", "Built", "Checked", "0 failed", "Published", "barometer.duckdb"):
        expect(report).to_contain_text(text)


def test_what_is_of_a_date_has_partitions(page: Page, ui: Ui, first_run: str) -> None:
    from playwright.sync_api import expect

    open_asset(page, ui, "marts/rfm", "partitions")
    expect(page.locator("body")).to_contain_text(AS_OF)
    open_asset(page, ui, "raw/orders")
    expect(page.get_by_role("tab", name="Partitions")).to_have_count(0)


def test_schedule_and_sensor_are_there_and_off(page: Page, ui: Ui) -> None:
    from playwright.sync_api import expect

    page.goto(f"{ui.address}/automation")
    for name in ("every_night", "new_landing_files"):
        expect(page.get_by_role("link", name=name)).to_be_visible()
    # what tells of runs is on: it does nothing without a webhook
    expect(page.get_by_role("link", name="alerts")).to_be_visible()
    switches = page.locator("input[type=checkbox]:checked")
    expect(switches).to_have_count(1)


def test_a_check_that_fails_stands_at_its_asset(page: Page, ui: Ui, second_run: str) -> None:
    from playwright.sync_api import expect

    assert second_run == "Failure"
    open_asset(page, ui, "published/barometer_duckdb", f"checks&checkDetail={CHECK}")
    body = page.locator("body")
    expect(body).to_contain_text(CHECK)
    expect(body).to_contain_text("acknowledged_rejects.csv")
    expect(body).to_contain_text(TRUNCATED)
    # what the first run wrote may hold somebody who has said no since
    assert not (ui.data / "extracts" / AS_OF).exists()


def test_the_report_of_the_run_that_failed_says_why(page: Page, ui: Ui, second_run: str) -> None:
    from playwright.sync_api import expect

    open_asset(page, ui, "report/run")
    expect(page.get_by_role("row").filter(has_text="The nightly run of").last).to_contain_text("1 failed")
    listed = page.get_by_role("row").filter(has_text=CHECK).last
    expect(listed).to_contain_text("published/barometer_duckdb")
    expect(listed).to_contain_text("acknowledged_rejects.csv")


def test_the_pages_reach_nothing_but_this_machine(ui: Ui, second_run: str) -> None:
    assert ui.reached == []


def test_it_listens_on_this_machine_alone(ui: Ui) -> None:
    port = int(ui.address.rpartition(":")[2])
    sockets = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    # listening (state 0A): the address is in hexadecimal, its bytes turned round
    listening = [local for _, local, _, state, *_ in sockets if state == "0A" and int(local.split(":")[1], 16) == port]
    assert [local.split(":")[0] for local in listening] == ["0100007F"]
