"""Takes the README's screenshots again: `python -m tests.browser.screenshots`."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ViewportSize, sync_playwright

from orchestration.settings import ROOT
from tests.browser.conftest import Ui, chromium, start, stop, window
from tests.browser.pages import CHECK, launch, open_asset, wait_for_run

#: Neutral, since it can be read in the pictures.
FOLDER = Path("/tmp/barometer")
#: The page without the navigation at its left.
_CLIP = {"x": 240, "y": 0, "width": 1360, "height": 1000}
#: Windows in which the report is shown.
_DESK: ViewportSize = {"width": 1280, "height": 1000}
_PHONE: ViewportSize = {"width": 390, "height": 844}


def main() -> None:
    """Start the UI, run the job twice, and write the pictures."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images", help="folder of the pictures")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    ui, process = start(FOLDER)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
            take(window(browser, ui), ui, options.out)
            take_the_report(browser, ui, options.out)
            browser.close()
    finally:
        stop(process)
        shutil.rmtree(FOLDER, ignore_errors=True)


def take(context: BrowserContext, ui: Ui, out: Path) -> None:
    """Write a picture of each page that the README shows."""
    page = context.new_page()

    def shoot(name: str) -> None:
        # what still moves has no mark by which it could be waited for
        page.wait_for_timeout(3000)
        page.screenshot(path=out / f"{name}.png", clip=_CLIP)

    run_id = launch(context, ui)
    assert wait_for_run(context, ui, run_id) == "Success"
    page.goto(f"{ui.address}/asset-groups")
    page.locator("foreignObject").get_by_text("marts", exact=True).wait_for()

    shoot("asset-graph")
    page.goto(f"{ui.address}/runs/{run_id}")
    page.get_by_text("Success", exact=True).first.wait_for()
    shoot("run")
    open_asset(page, ui, "published/barometer_duckdb")
    shoot("asset")
    open_asset(page, ui, "report/run")
    shoot("report")
    ui.deliver_a_truncated_file()
    assert wait_for_run(context, ui, launch(context, ui)) == "Failure"
    open_asset(page, ui, "published/barometer_duckdb", f"checks&checkDetail={CHECK}")
    shoot("failing-check")


def take_the_report(browser: Browser, ui: Ui, out: Path) -> None:
    """Write pictures of the report that the run made: its beginning, in the dark, and on a phone."""
    address = (ui.data / "report" / "barometer.html").as_uri()
    for name, scheme, window_size, section in (
        ("report-page", "light", _DESK, None),
        ("report-page-dark", "dark", _DESK, "pressure"),
        ("report-page-phone", "light", _PHONE, None),
    ):
        context = browser.new_context(viewport=window_size, color_scheme=scheme, device_scale_factor=1, offline=True)
        page = context.new_page()
        page.goto(address)
        picture = out / f"{name}.png"
        if section is None:
            page.screenshot(path=picture)
        else:
            page.locator(f"#{section}").screenshot(path=picture)
        context.close()


if __name__ == "__main__":
    main()
