"""The report as a person opens it: a file, in a browser without a network.

The run that the UI's tests have started made one. Beside it one is made of the same published file with measures by
hand, so that every section has something to show, a campaign with a hostile name among it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import duckdb
import pytest

from orchestration.report.page.page import write_pages
from orchestration.report.page.parts import visible
from orchestration.report.page.words import words_of
from orchestration.settings import dbt_vars
from tests.browser.conftest import Ui
from tests.personal_data import personal_values
from tests.report_tables import HOSTILE, fill

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

pytestmark = pytest.mark.browser

LANGUAGES = {"en": "barometer.html", "fr": "barometer.fr.html"}
CHARTS = 17
PHONE = {"width": 360, "height": 740}
_TABLES = """
    () => Object.fromEntries([...document.querySelectorAll("table[data-table]")].map(table => [
        table.dataset.table,
        [...table.tBodies[0].rows].map(row => [...row.cells].map(cell => cell.dataset.value ?? null)),
    ]))
"""
#: Charts with how many marks each that are somewhere and have a size: bars, points, lines, cells.
_MARKS = """
    () => [...document.querySelectorAll("svg.chart")].map(chart =>
        [...chart.querySelectorAll("g[class*='mark-'] > path, g[class*='mark-'] > line")]
            .filter(mark => { const box = mark.getBBox(); return box.width + box.height > 0.5; })
            .length)
"""


@dataclass
class Opened:
    """A page that is open, and what it asked for or complained of."""

    page: Page
    asked: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def folder(ui: Ui, first_run: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published file with measures by hand, and its pages."""
    folder = tmp_path_factory.mktemp("report")
    fill(ui.data / "warehouse" / "barometer.duckdb", folder / "filled.duckdb")
    written = write_pages(folder / "filled.duckdb", folder, list(LANGUAGES), policy=dbt_vars())
    assert not written.is_same
    return folder


@pytest.fixture(scope="module")
def browser(context: BrowserContext) -> Browser:
    assert context.browser is not None
    return context.browser


@pytest.fixture(scope="module")
def opened(browser: Browser, folder: Path) -> Iterator[dict[str, Opened]]:
    """The pages in both languages; nothing but files can be had."""
    window = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    found = {}
    for language, name in LANGUAGES.items():
        each = Opened(window.new_page())
        each.page.on("request", lambda request, each=each: each.asked.append(request.url))
        each.page.on("console", lambda message, each=each: each.said.append(message.text))
        each.page.on("pageerror", lambda error, each=each: each.said.append(str(error)))
        each.page.goto((folder / name).as_uri())
        found[language] = each
    yield found
    window.close()


@pytest.fixture(scope="module")
def tables(opened: dict[str, Opened]) -> dict[str, list[list[str | None]]]:
    """The tables of the English page: of each cell the value of the warehouse that it stands for."""
    return opened["en"].page.evaluate(_TABLES)


def asked(file: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(file), read_only=True) as con:
        return con.execute(query).fetchall()


def test_the_run_has_made_a_page_a_language(ui: Ui, first_run: str) -> None:
    made = sorted(path.name for path in (ui.data / "report").iterdir())
    assert made == sorted(LANGUAGES.values())
    assert dbt_vars()["report_languages"] == list(LANGUAGES)
    for language, name in LANGUAGES.items():
        text = (ui.data / "report" / name).read_text(encoding="utf-8")
        assert f'<html lang="{language}">' in text
        assert len(text.encode()) < 3e6
        assert re.search(r"default-src &#39;none&#39;|default-src 'none'", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_reaches_nothing_and_complains_of_nothing(opened: dict[str, Opened], folder: Path, language: str) -> None:
    each = opened[language]
    assert each.asked == [(folder / LANGUAGES[language]).as_uri()]
    assert each.said == []
    assert each.page.locator("script, iframe, object, embed, link, img").count() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_chart_has_data_a_text_and_a_table(opened: dict[str, Opened], language: str) -> None:
    page = opened[language].page
    marks = page.evaluate(_MARKS)
    assert len(marks) == CHARTS
    assert all(count > 2 for count in marks), marks
    labels = page.locator("svg.chart").evaluate_all("all => all.map(e => [e.getAttribute('role'), e.ariaLabel])")
    assert all(role == "img" and len(label) > 40 and re.search(r"\d", label) for role, label in labels)
    assert page.locator("details table tbody tr").count() > 100
    assert page.locator("details").count() == CHARTS
    # colours are the page's own, so that they follow light and dark
    html = page.content()
    assert not re.search(r'(fill|stroke)="#0a0b', html)


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("fr", "dark")])
def test_everybody_can_use_it(opened: dict[str, Opened], language: str, scheme: Literal["light", "dark"]) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened[language].page
    page.emulate_media(color_scheme=scheme)
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert not [(each["id"], each["nodes"][0]["html"][:200]) for each in found if each["impact"] != "minor"]
    levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(e => Number(e.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    # the keyboard reaches the content at once, and every table
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"


def test_a_phone_shows_all_of_it(browser: Browser, folder: Path) -> None:
    window = browser.new_context(viewport=PHONE, offline=True)
    for name in LANGUAGES.values():
        page = window.new_page()
        page.goto((folder / name).as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    window.close()


def test_numbers_are_those_of_the_warehouse(
    tables: dict[str, list[list[str | None]]], opened: dict[str, Opened], folder: Path
) -> None:
    file = folder / "filled.duckdb"

    def shown(name: str, *columns: int) -> list[tuple[str | None, ...]]:
        return sorted(tuple(row[column] for column in columns) for row in tables[name])

    def known(query: str) -> list[tuple[str, ...]]:
        return sorted(tuple(str(value) for value in row) for row in asked(file, query))

    users = asked(file, "select least(contacts_7d, 15), count(*) from marts.contact_pressure group by 1 order by 1")
    assert [(int(row[0]), int(row[-1])) for row in tables["distribution"] if row[-1] != "0"] == users  # type: ignore[arg-type]
    assert shown("statuses", 0, 5) == known(
        "select policy_segment, count(*) filter (pressure_status = 'over_cap') from marts.contact_pressure group by 1"
    )
    assert shown("channels", 0, 1) == known(
        "select channel, count(*) filter (contact_date > as_of - 7) from marts.fct_contacts, marts.build_info "
        "where is_contact and contact_date > as_of - 14 and contact_date <= as_of group by 1"
    )
    assert (
        sum(int(row[1] or 0) for row in tables["days"])
        == asked(
            file,
            "select count(*) from marts.fct_contacts, marts.build_info "
            "where is_contact and contact_date > as_of - 56 and contact_date <= as_of",
        )[0][0]
    )
    assert shown("rfm_grid", 0, 1, 2) == known("select r_score, fm_score, count(*) from marts.rfm group by 1, 2")
    assert shown("migration", 2) == known("select users from marts.segment_migration where family = 'engagement'")
    assert shown("suppressions", 0, 1) == known("select reason, count(*) from marts.contact_suppressions group by 1")
    assert shown("rejected", 0, 1, 3) == known(
        "select dataset, reason, count(*) from marts.rejected_rows group by 1, 2 "
        "union all select dataset, reason, count(*) from marts.rejected_files group by 1, 2"
    )
    assert shown("campaigns", 0, 2) == known(
        "select campaign_id, sum(sent)::bigint as sent from marts.campaign_performance group by 1 "
        "order by 2 desc, 1 limit 12"
    )
    assert shown("what_if", 0, 3) == known("select segment, removed from marts.cap_simulation")
    assert shown("unmapped", 0, 1) == known("select event, events from marts.unmapped_events")
    tiles = dict(
        opened["en"].page.locator("[data-tile]").evaluate_all("all => all.map(e => [e.dataset.tile, e.dataset.value])")
    )
    status = "select count(*) from marts.contact_pressure where pressure_status = "
    assert tiles["users"] == str(asked(file, "select count(*) from marts.user_360")[0][0])
    assert tiles["over_cap"] == str(asked(file, f"{status} 'over_cap'")[0][0])
    assert tiles["fatigued"] == str(asked(file, f"{status} 'fatigued'")[0][0])
    week = "select count(*) from marts.fct_contacts, marts.build_info where is_contact and as_of - contact_date"
    assert tiles["contacts_7d"] == str(asked(file, f"{week} between 0 and 6")[0][0])


#: Tables with the columns that stand for one column of a mart each, and the query of these; decimals as they are shown.
_COLUMNS = {
    "fatigue_leave": (
        (0, 1, 2, 3, 4),
        "select contacts_7d, user_days, users, events, hazard::double from marts.fatigue_curve "
        "where event = 'leave' and source = 'observational' and channel = 'all' and engagement = 'all'",
    ),
    "arms": (
        (0, 1, 2, 3, 4, 5, 7),
        "select event, arm, users, mean_contacts_7d::double, hazard::double, difference::double, "
        "naive_difference::double from marts.dose_response where channel = 'all' and engagement = 'all'",
    ),
    "campaigns": (
        (0, 2, 3, 9, 10, 11),
        "select campaign_id, sum(sent)::bigint as sent, sum(measured)::bigint, sum(last_touch_orders)::bigint, "
        "sum(last_touch_revenue)::double, sum(cost)::double from marts.campaign_performance group by campaign_id "
        "order by sent desc, campaign_id limit 12",
    ),
    "tests": (
        (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12),
        "select variant, metric, status, control_users, variant_users, control_value::double, variant_value::double, "
        "difference::double, minimum_detectable_effect::double, p_value_holm::double, is_significant "
        "from marts.ab_test_results",
    ),
    "what_if": (
        tuple(range(10)),
        "select segment, windows, contacts, removed, removed_share, users_over_before, users_over_after, "
        "clicks_touched, revenue_touched::double, cost_saved::double from marts.cap_simulation "
        "where policy = 'current' and channel = 'all'",
    ),
    "quality": (
        (0, 1, 2, 3, 4, 5),
        "select family, segments, smallest_share, largest_share, silhouette::double, unchanged_share "
        "from marts.segment_quality",
    ),
    "profiles": (
        (0, 1, 2, 3, 4, 7),
        "select family, segment, users, share, mean_order_value::double, click_rate::double "
        "from marts.segment_profiles where family in ('engagement', 'rfm')",
    ),
    "backtest": (
        tuple(range(8)),
        "select cut_date, prediction, method, users, flagged, precision::double, recall::double, auc::double "
        "from marts.outlook_backtest where cut_date = (select max(cut_date) from marts.outlook_backtest)",
    ),
    "coverage": (
        (0, 1, 2, 3, 6),
        "select dataset || '.' || attribute, max(users_known), max(users), max(share)::double, max(users_affected) "
        "from marts.attribute_coverage group by dataset, attribute",
    ),
    "suppressions": (
        (0, 1, 2),
        "select reason, count(*), sum(value_forgone)::double from marts.contact_suppressions group by reason",
    ),
    "stages": (
        (0, 1, 3, 4),
        "select stage, outcome, rows, seconds from marts.pipeline_runs "
        "where run_id = (select max_by(run_id, started_at) from marts.pipeline_runs where stage = 'build')",
    ),
}


@pytest.mark.parametrize("name", _COLUMNS)
def test_every_column_is_that_of_the_warehouse(
    name: str, tables: dict[str, list[list[str | None]]], folder: Path
) -> None:
    columns, query = _COLUMNS[name]
    shown = sorted((tuple(row[column] for column in columns) for row in tables[name]), key=repr)
    known = [
        tuple(None if value is None else str(value) for value in row) for row in asked(folder / "filled.duckdb", query)
    ]
    assert shown == sorted(known, key=repr)


def test_both_languages_show_the_same_numbers(
    tables: dict[str, list[list[str | None]]], opened: dict[str, Opened]
) -> None:
    assert opened["fr"].page.evaluate(_TABLES) == tables


def test_the_languages_lead_to_each_other(opened: dict[str, Opened]) -> None:
    for language, other in (("en", "fr"), ("fr", "en")):
        link = opened[language].page.locator(f"a[hreflang={other}]")
        assert link.get_attribute("href") == LANGUAGES[other]


def test_a_hostile_name_is_text_and_nothing_else(opened: dict[str, Opened]) -> None:
    for each in opened.values():
        assert "owned" not in each.page.title()
        assert each.page.locator("td").filter(has_text="<script>").first.text_content() == visible(HOSTILE)


def test_the_same_numbers_leave_the_page_as_it_is(folder: Path) -> None:
    before = {name: (folder / name).stat().st_mtime_ns for name in LANGUAGES.values()}
    assert write_pages(folder / "filled.duckdb", folder, list(LANGUAGES), policy=dbt_vars()).is_same
    assert {name: (folder / name).stat().st_mtime_ns for name in LANGUAGES.values()} == before


def test_no_personal_data_is_in_it(ui: Ui, folder: Path) -> None:
    """No address, name, birth date, link or user_id; words of the page itself may be somebody's first name."""
    values = personal_values(ui.landing, ui.data / "warehouse" / "working.duckdb")
    (users,) = [{row[0] for row in asked(folder / "filled.duckdb", "select user_id from marts.user_360")}]
    wanted = set().union(users, *values.values())
    assert len(wanted) > 5000
    own = {
        word
        for language in LANGUAGES
        for text in words_of(language).texts.values()
        for word in re.split(r"[^\w'-]+", text)
    }
    for path in (*(folder / name for name in LANGUAGES.values()), *sorted((ui.data / "report").iterdir())):
        text = re.sub(r"<style>.*?</style>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        # days are shown of everybody together; a birth date would be an ISO date in a cell of its own
        words = set(re.split(r"[\s<>\"=;,()“”«»]+", text)) | set(re.findall(r">([^<]+)<", text))
        days = {word for word in words if re.fullmatch(r"20(2[5-9]|3\d)-\d\d-\d\d", word)}
        assert not (words & wanted) - own - days, path
        assert not [value for kind in ("email", "phone", "link_url") for value in values[kind] if value in text], path
