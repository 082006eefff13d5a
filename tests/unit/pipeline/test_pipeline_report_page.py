"""The report's words, numbers and empty states, without a file and without a browser."""

from __future__ import annotations

import csv
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.landing.contract import DATASETS
from orchestration.policy_rules import ATTRIBUTES, QUALITY_MEASURES
from orchestration.report.page import charts, records
from orchestration.report.page import page as page_module
from orchestration.report.page.charts import draw
from orchestration.report.page.outcomes import campaigns, fatigue, wilson
from orchestration.report.page.page import answers, contents, file_names
from orchestration.report.page.parts import Figure, Note, Table, Tiles, visible
from orchestration.report.page.pressure import STATUSES, headline
from orchestration.report.page.queries import QUERIES, Meant, Numbers, read_numbers
from orchestration.report.page.records import warnings
from orchestration.report.page.words import languages, words_of
from orchestration.report.pipeline_runs import Run, last_run, recording

AS_OF = date(2026, 6, 30)
FOLDER = Path(page_module.__file__).parent
PROJECT = FOLDER.parents[2] / "dbt_project"
LANGUAGES = languages()


def numbers(rows: Mapping[str, Sequence[dict[str, Any]] | None], is_final: bool = True) -> Numbers:
    """Numbers of which only some are there; the others have a mart without rows."""
    return Numbers(AS_OF, is_final, datetime(2026, 7, 1, 3), dict.fromkeys(QUERIES, ()) | dict(rows))


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_language_has_the_same_words_with_the_same_places() -> None:
    assert set(LANGUAGES) >= {"en", "fr"}
    english = words_of("en").texts
    for language in LANGUAGES:
        texts = words_of(language).texts
        fixed = [{key for key in each if not key.startswith("names.")} for each in (english, texts)]
        assert fixed[0] == fixed[1], language
        assert {key for key in english if key.startswith("names.")} <= set(texts), language
        for key in fixed[0]:
            assert places(english[key]) == places(texts[key]), f"{language} {key}"
            assert texts[key], f"{language} {key}"


def known_codes() -> set[str]:
    """The codes of this project that the page may show; countries, categories and audiences are whose data they are."""
    plan = (PROJECT / "models" / "plan").glob("contact_suppressions.yml")
    eligible = re.search(
        r"First reason why not: ([a-z_, ]+);", (PROJECT / "models/plan/channel_eligibility.yml").read_text()
    )
    suppressed = re.search(r'description: "(erased, [a-z_, ]+);', next(plan).read_text())
    assert eligible and suppressed
    outranked = ["outranked_channel", "outranked_total"]
    reasons = [*eligible[1].split(", "), *suppressed[1].split(", "), *outranked]
    landing = "".join(path.read_text() for path in (PROJECT.parent / "orchestration" / "landing").glob("*.py"))
    files = re.findall(r'UnreadableFile\(\s*"([a-z_]+)"', landing)
    assert len(reasons) > 15 and len(files) > 4
    with (PROJECT / "seeds" / "segment_catalog_entries.csv").open(encoding="utf-8") as entries:
        segments = {each for row in csv.DictReader(entries) for each in (row["family"], row["segment"])}
    return {
        *reasons,
        *files,
        *(segments - {"*"}),
        *("not_accessible", "malformed_row", "before_min_event_date", "after_received_at"),
        *ATTRIBUTES,
        *QUALITY_MEASURES,
        *("age", "mean_order_value", "open_rate_90d"),
        *STATUSES,
        *DATASETS,
        *(f"outcome_{each}" for each in ("succeeded", "failed", "skipped", "killed")),
        *(f"test_{each}" for each in ("running", "unbalanced", "too_small", "done")),
        *("load", "build", "publish", "extract"),
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_a_word_in_every_language(language: str) -> None:
    words = words_of(language)
    codes = known_codes()
    assert len(codes) > 100
    assert not sorted(code for code in codes if f"names.{code}" not in words.texts)
    # a reason that names a column keeps its name; the rest is a word
    for dataset in DATASETS.values():
        for column in dataset.columns:
            for kind in ("missing", "invalid", "unknown", "negative"):
                told = words.reject(f"{kind}_{column.name}")
                assert column.name in told and told != words.name(f"{kind}_{column.name}")
    assert "_" not in words.reject("missing_user_id_or_anonymous_id").replace("user_id", "").replace("anonymous_id", "")


def test_every_word_that_the_page_asks_for_is_there() -> None:
    texts = words_of("en").texts
    asked = {
        key
        for path in (*FOLDER.glob("*.py"), FOLDER / "template.html.j2")
        for key in re.findall(r"""words\(\s*["']([a-z0-9_.-]+)["']""", path.read_text(encoding="utf-8"))
    }
    assert len(asked) > 50
    assert asked <= set(texts)


def test_a_word_that_is_missing_and_a_language_that_is_missing_are_said() -> None:
    with pytest.raises(BarometerError, match=r"words\.fr\.yml has no nothing\.at\.all"):
        words_of("fr")("nothing.at.all")
    with pytest.raises(BarometerError, match="language 'xx'"):
        words_of("xx")


def test_numbers_and_dates_are_written_as_each_language_does() -> None:
    english, french = words_of("en"), words_of("fr")
    assert english.count(12345) == "12,345"
    assert french.count(12345) == "12\u202f345"
    assert (english.share(0.1234), french.share(0.1234)) == ("12.3%", "12,3\u202f%")
    assert (english.signed(3), english.signed(-3), english.signed(0), english.signed(-0.2)) == ("+3", "−3", "0", "0")
    assert english.count(None) == english.share(None) == english.signed(None) == "–"
    assert (english.day(AS_OF), french.day(AS_OF)) == ("30 June 2026", "30 juin 2026")
    # what nobody translated is shown as it is, for reading
    assert (english.name("some_segment"), french.name("dormant")) == ("some segment", "dormants")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rows", [None, ()], ids=["no such mart", "no rows"])
def test_a_section_without_numbers_says_why(language: str, rows: Sequence[dict[str, Any]] | None) -> None:
    words = words_of(language)
    found = numbers(dict.fromkeys(QUERIES, rows))
    for section in contents(found, words):
        assert section.title and section.lead
        if section.key in ("headline", "pressure"):
            continue
        notes = [block for block in section.blocks if isinstance(block, Note)]
        assert notes, section.key
        assert all(len(note.text) > 20 for note in notes)
    told = {block.text for section in contents(found, words) for block in section.blocks if isinstance(block, Note)}
    assert (words("not_built") in told) == (rows is None)
    assert len(answers(found, words)) == 4


def test_the_headline_has_yesterday_and_last_week_or_says_there_is_no_build() -> None:
    def size(age: int, segment: str, users: int) -> dict[str, Any]:
        return {"as_of": AS_OF - timedelta(days=age), "family": "engagement", "segment": segment, "users": users}

    found = numbers(
        {
            "sizes_now": [
                {"family": "engagement", "segment": "engaged", "users": 120},
                {"family": "engagement", "segment": "dormant", "users": 80},
            ],
            "sizes": [size(7, "engaged", 100), size(7, "dormant", 90)],
            "days": [
                {"contact_date": AS_OF - timedelta(days=age), "channel": "email", "contacts": 1, "left_after": 0}
                for age in range(14)
                if age != 7
            ],
        }
    )
    (tiles,) = headline(found, words_of("en")).blocks
    assert isinstance(tiles, Tiles)
    of = {tile.key: tile for tile in tiles.tiles}
    assert (of["users"].value, of["engaged"].value) == (200, 120)
    assert of["users"].before == ["Yesterday: no build of that date", "A week ago 190 (+10)"]
    assert of["engaged"].before[1] == "A week ago 100 (+20)"
    # contacts are known of any date, whatever was built
    assert of["contacts_7d"].before == ["Yesterday 6 (+1)", "A week ago 6 (+1)"]


def test_a_day_that_is_not_over_and_a_stage_that_failed_are_said_first() -> None:
    stage = {"stage": "sync files", "kind": "nightly", "as_of": AS_OF, "started_at": datetime(2026, 7, 1)}
    failed = {**stage, "rows": 0, "seconds": 1.0, "outcome": "failed", "error": None}
    found = numbers({"stages": [failed], "blocks": [{"blocks": 2}]}, is_final=False)
    first, *others = warnings(found, words_of("en"))
    assert first.startswith("The last run failed on 1 July 2026, 00:00 UTC: to files (failed).")
    text = " ".join([first, *others])
    assert "not over" in text and "No extract leaves" in text
    assert warnings(numbers({}), words_of("en")) == []


def test_a_run_that_published_nothing_is_the_last_run(tmp_path: Path) -> None:
    """The published file speaks of the run that made it; the record of runs knows a later one that failed."""
    record = tmp_path / "activation.sqlite"
    made, later = Run("made", AS_OF, "nightly"), Run("later", AS_OF, "nightly")
    for run, stage in ((made, "load"), (made, "build"), (later, "load")):
        with recording(record, run, stage):
            pass
    with pytest.raises(ValueError), recording(record, later, "build"):
        raise ValueError("what somebody@example.com ordered")
    last = last_run(record)
    assert [(row["run_id"], row["stage"], row["outcome"]) for row in last] == [
        ("later", "load", "succeeded"),
        ("later", "build", "failed"),
    ]
    ended = {"run_id": "made", "stage": "build", "started_at": datetime(2026, 7, 1), "rows": 9, "seconds": 1.0}
    stages = {"stages": [{**ended, "outcome": "succeeded", "error": None}]}
    found = replace(numbers(stages), failed_run=last)
    (warning,) = warnings(found, words_of("en"))
    assert "build (ValueError)" in warning and "The numbers are those of 30 June 2026" in warning
    tables = {block.key: block for block in records.run(found, words_of("en")).blocks if isinstance(block, Table)}
    assert [row[0].value for row in tables["failed_run"].rows] == ["load", "build"]
    assert tables["stages"].title == "Stages of the run that made this page"


@pytest.mark.parametrize(
    ("outcome", "run_id", "failed", "stages"),
    [("failed", "later", 1, "made"), ("succeeded", "later", 0, "made"), ("failed", "made", 0, "made, and after")],
)
def test_the_stages_are_those_of_the_run_that_made_the_page(
    outcome: str, run_id: str, failed: int, stages: str
) -> None:
    with duckdb.connect() as con:
        con.execute("create schema marts")
        con.execute(
            "create table marts.build_info as "
            "select date '2026-06-30' as as_of, true as is_final, timestamp '2026-07-01' as built_at"
        )
        con.execute(
            "create table marts.pipeline_runs as select 'made' as run_id, 'build' as stage, "
            "timestamp '2026-07-01' as started_at, 1 as rows, 1.0 as seconds, 'succeeded' as outcome, null as error"
        )
        row = {"started_at": datetime(2026, 7, 1, 4), "rows": 1, "seconds": 1.0, "outcome": outcome, "error": None}
        found = read_numbers(con, [{"run_id": run_id, "stage": "made, and after", **row}], {"measures_days": 365})
    assert len(found.failed_run) == failed
    assert [row["run_id"] for row in found.of("stages")] == ["made"]
    assert (found.of("stages")[0]["stage"] == "made, and after") == (stages == "made, and after")


def test_what_no_page_may_hold_ends_no_drawing() -> None:
    """The drawing's XML can't hold a control character, and a name may."""
    name = "Sale\x0bof \ud800May\uffff <b>\t"
    assert visible({"a": [name, 1]}) == {"a": ["Sale\ufffdof \ufffdMay\ufffd <b>\t", 1]}
    svg = draw(charts.bars([{"label": name, "value": 3, "text": name}], "value", "users"), "en", name)
    assert "Sale\ufffdof" in svg and "\x0b" not in svg


def campaign(campaign_id: str, name: str, channel: str, measured: int, clicked: int) -> tuple[Any, ...]:
    return (campaign_id, name, channel, measured, clicked)


def best_of(*campaigns: tuple[Any, ...]) -> list[dict[str, Any]]:
    """What the query of the best campaign returns of (id, name, channel, measured, clicked)."""
    with duckdb.connect() as con:
        con.execute("create schema marts")
        con.execute("create table marts.build_info as select date '2026-06-30' as as_of, true as f, now() as built_at")
        con.execute(
            "create table marts.campaign_performance"
            "(campaign_id text, campaign_name text, channel text, measured bigint, measured_clicked bigint)"
        )
        con.executemany("insert into marts.campaign_performance values (?, ?, ?, ?, ?)", campaigns)
        con.execute("alter table marts.campaign_performance add click_rate double default 0.1")
        con.execute(
            "create table marts.fct_contacts as select campaign_id, "
            "case when campaign_id = 'receipt' then 'transactional' else 'marketing' end as message_class "
            "from marts.campaign_performance"
        )
        cursor = con.execute(QUERIES["best"].sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_what_works_compares_marketing_campaigns_of_one_channel() -> None:
    found = best_of(
        campaign("news", "News", "email", 5000, 100),
        # three times the others of its channel; the app's tips are clicked more, as all on their channel are
        campaign("spring", "Spring", "email", 1000, 60),
        campaign("tip", "Tip", "in_app", 1000, 300),
        campaign("tour", "Tour", "in_app", 1000, 290),
        # of too few to be sure, and no marketing
        campaign("small", "Small", "email", 10, 1),
        campaign("receipt", "Receipt", "email", 3000, 2000),
    )
    assert [(row["campaign_id"], row["channel"]) for row in found] == [("spring", "email")]
    counted = [{"tests": 50, "better": 3, "worse": 1, "unread": 9}]
    (answer,) = [
        each
        for each in answers(numbers({"best": found, "tests_counted": counted}), words_of("en"))
        if each.section == "campaigns"
    ]
    assert answer.number == "6.0%"
    assert "“Spring” by e-mail" in answer.sentence and "against 2.0%" in answer.sentence
    assert answer.sentence.endswith("better than their control: 3; worse: 1.")
    # lowest first where there is nothing to compare with; nothing where there is nothing
    alone = best_of(campaign("news", "News", "email", 5000, 100), campaign("tip", "Tip", "in_app", 1000, 300))
    assert [(row["campaign_id"], row["other_rate"]) for row in alone] == [("tip", None)]
    assert best_of(campaign("receipt", "Receipt", "email", 10, 5)) == []


def point(contacts: int, user_days: int, users: int) -> dict[str, Any]:
    found = {"source": "observational", "event": "leave", "contacts_7d": contacts, "user_days": user_days}
    return {**found, "users": users, "events": 1, "hazard": 0.01, "hazard_low": 0.001, "hazard_high": 0.02}


def test_a_curve_has_the_numbers_of_contacts_of_which_enough_is_known() -> None:
    rows = [point(1, 5000, 900), point(8, 100, 30), point(9, 400, 29), point(10, 99, 50), point(15, 200, 40)]
    found = replace(numbers({"fatigue": rows}), policy=Meant(most_fatigue_contacts=15))
    figure = fatigue(found, words_of("en")).blocks[1]
    assert isinstance(figure, Figure)
    assert [row["x"] for row in figure.chart["data"]["values"]] == [1, 8, 15]
    assert "From 1 to 15 or more contacts" in figure.sentence
    assert [row[4].text for row in figure.table.rows] == ["1.000%", "1.000%", "too few", "too few", "1.000%"]
    alone = fatigue(numbers({"fatigue": rows[2:4]}), words_of("en")).blocks[1]
    assert isinstance(alone, Table)


def test_campaigns_that_share_a_name_are_told_apart() -> None:
    def row(campaign_id: str, name: str) -> dict[str, Any]:
        sums: dict[str, float] = dict.fromkeys(("sent", "measured", "reacting", "opened", "clicked", "left_after"), 10)
        sums |= {"reengageable": 27, "reengaged": 19, "last_touch_orders": 0, "last_touch_revenue": 0.0, "cost": 0.0}
        return {"campaign_id": campaign_id, "campaign_name": name, "channels": ["email"], **sums}

    long = "A very long name of a campaign "
    rows = [row("a1", "Sale"), row("a2", "Sale"), row("b1", f"{long} 1"), row("b2", f"{long} 2"), row("c", "Other")]
    found = replace(numbers({"campaigns": rows}), policy=Meant(currency="EUR"))
    figure = campaigns(found, words_of("en")).blocks[0]
    assert isinstance(figure, Figure)
    assert [row[0].text for row in figure.table.rows] == ["Sale (a1)", "Sale (a2)", f"{long} 1", f"{long} 2", "Other"]
    assert {row["label"] for row in figure.chart["data"]["values"]} == {"Sale (a1)", "Sale (a2)", "b1", "b2", "Other"}
    assert "70.4% (19 of 27)" in {cell.text for cell in figure.table.rows[0]}
    assert {"revenue (EUR)", "cost (EUR)"} <= set(figure.table.header)


def test_intervals_of_shares_are_wilsons() -> None:
    from scipy.stats import binomtest

    for successes, trials in ((0, 10), (3, 10), (10, 10), (117, 4000)):
        known = binomtest(successes, trials).proportion_ci(method="wilson")
        assert wilson(successes, trials) == pytest.approx((known.low, known.high), abs=1e-6)


def test_the_first_language_has_the_plain_name() -> None:
    assert file_names(["fr", "en"]) == ["barometer.html", "barometer.en.html"]
