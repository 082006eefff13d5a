"""Tests that run can't be changed: what a plan recorded is compared with what the policy says now."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orchestration.errors import BarometerError
from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.audiences import Audience
from orchestration.warehouse.running_tests import (
    CampaignSettings,
    CampaignTest,
    CurrentTests,
    ShareFrom,
    current_tests,
    record_tests,
    refuse_changed_tests,
)

DAY = date(2026, 7, 1)
NEXT = DAY + timedelta(days=1)
HALVES = (("control", Decimal("0.5")), ("offer", Decimal("0.5")))
THIRDS = (("control", Decimal("0.333333")), ("offer", Decimal("0.333333")), ("news", Decimal("0.333334")))


def audience(name: str, **meta: Any) -> Audience:
    return Audience(name, "o", "c", "f", ("email",), Decimal(1), **meta)


AUDIENCES = {
    "dormant": audience("dormant", variants=HALVES, holdout_share=Decimal("0.1")),
    "news": audience("news", returns=("campaign_id",)),
    "thanks": audience("thanks"),
}
YEARS = (
    ShareFrom(date(2020, 1, 1), "2020", Decimal(0)),
    ShareFrom(date(2026, 1, 1), "2026", Decimal("0.05")),
)
TESTS = CurrentTests(AUDIENCES, {}, frozenset({"news_tea"}), YEARS)


def changed(**settings: Any) -> CurrentTests:
    """The tests with settings of the campaign of the dormant."""
    return replace(TESTS, settings={"dormant": CampaignSettings(**settings)})


def with_audience(name: str, **meta: Any) -> CurrentTests:
    return replace(TESTS, audiences={**AUDIENCES, name: replace(AUDIENCES[name], **meta)})


@pytest.fixture
def planned(tmp_path: Path) -> Path:
    """A folder of planned contacts with the tests of a day."""
    folder = tmp_path / "planned_contacts"
    record_tests(folder, DAY, TESTS)
    return folder


def document(folder: Path, day: date = DAY) -> dict[str, Any]:
    return dict(json.loads((folder / day.isoformat() / "tests.json").read_text()))


def refused(folder: Path, tests: CurrentTests, day: date = NEXT) -> BarometerError:
    with pytest.raises(BarometerError) as error:
        refuse_changed_tests(folder, day, tests)
    return error.value


# --- What is recorded.


def test_a_file_holds_the_tests_of_a_plan(planned: Path) -> None:
    recorded = document(planned)
    assert recorded["campaigns"]["dormant"] == {
        "audience": "dormant",
        "salt": "1",
        "holdout_share": "0.1",
        "variants": [["control", "0.5"], ["offer", "0.5"]],
        "test_ends_on": None,
    }
    assert recorded["universal_holdout"] == {"valid_from": "2026-01-01", "salt": "2026", "share": "0.05"}
    day = planned / DAY.isoformat()
    assert [path.name for path in day.iterdir()] == ["tests.json"]
    assert (day / "tests.json").stat().st_mode & 0o777 == 0o600
    assert day.stat().st_mode & 0o777 == planned.stat().st_mode & 0o777 == 0o700


def test_only_campaigns_of_the_plan_are_recorded(tmp_path: Path) -> None:
    record_tests(tmp_path, DAY, TESTS, [("thanks", "thanks")])
    assert document(tmp_path)["campaigns"].keys() == {"thanks"}
    record_tests(tmp_path, DAY, with_audience("news", holdout_share=Decimal("0.2")), [("news_tea", "news")])
    assert document(tmp_path)["campaigns"]["news_tea"]["holdout_share"] == "0.2"
    assert document(tmp_path)["campaigns"]["news_tea"]["audience"] == "news"


def test_what_the_same_date_recorded_before_is_kept(planned: Path) -> None:
    record_tests(planned, DAY, TESTS, [])
    assert "dormant" in document(planned)["campaigns"]


def test_the_same_again_writes_nothing(planned: Path) -> None:
    path = planned / DAY.isoformat() / "tests.json"
    before = path.stat()
    record_tests(planned, DAY, TESTS)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_what_a_killed_run_left_is_no_obstacle(planned: Path) -> None:
    (planned / NEXT.isoformat()).mkdir()
    (planned / NEXT.isoformat() / ".tests.json.tmp").write_text("{")
    refuse_changed_tests(planned, NEXT, TESTS)
    record_tests(planned, NEXT, TESTS)
    assert document(planned, NEXT) == document(planned)


def test_settings_come_before_the_audience(tmp_path: Path) -> None:
    tests = changed(salt="7", holdout_share=Decimal(0), variants=THIRDS, test_ends_on=DAY)
    assert tests.of("dormant", "dormant") == CampaignTest("dormant", "7", Decimal(0), THIRDS, DAY)
    record_tests(tmp_path, DAY, tests)
    assert document(tmp_path)["campaigns"]["dormant"]["test_ends_on"] == "2026-07-01"
    refuse_changed_tests(tmp_path, DAY, tests)


# --- What is refused.


def test_without_a_record_everything_may_change(tmp_path: Path) -> None:
    refuse_changed_tests(tmp_path / "none", DAY, TESTS)


@pytest.mark.parametrize("day", [DAY, NEXT, date(2026, 12, 31)])
def test_the_same_tests_are_let_pass(planned: Path, day: date) -> None:
    refuse_changed_tests(planned, day, TESTS)
    refuse_changed_tests(planned, day, changed(holdout_share=Decimal("0.100000"), test_ends_on=date(2026, 9, 1)))


@pytest.mark.parametrize(
    ("tests", "said"),
    [
        (changed(salt="2"), "salt was 1, is 2"),
        (changed(holdout_share=Decimal("0.2")), "holdout_share was 0.1, is 0.2"),
        (changed(holdout_share=Decimal(0)), "holdout_share was 0.1, is 0"),
        (
            changed(variants=THIRDS),
            "variants was control:0.5|offer:0.5, is control:0.333333|offer:0.333333|news:0.333334",
        ),
        (changed(variants=HALVES[::-1]), "variants was control:0.5|offer:0.5, is offer:0.5|control:0.5"),
        (with_audience("dormant", variants=()), "variants was control:0.5|offer:0.5, is none"),
        (
            with_audience("dormant", salt="2", holdout_share=Decimal("0.2")),
            "salt was 1, is 2; holdout_share was 0.1, is 0.2",
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("day", [DAY, NEXT])
def test_a_running_test_can_t_be_changed(planned: Path, tests: CurrentTests, said: str, day: date) -> None:
    error = refused(planned, tests, day)
    assert error.message.splitlines()[1:] == [f"  campaign dormant: {said} (as in the plan of 2026-07-01)"]
    assert f"set test_ends_on in dbt_project/seeds/campaign_settings.csv to a date before {day}" in error.hint
    assert "another campaign_id" in error.hint
    assert "universal" not in error.hint


def test_every_changed_test_is_named(planned: Path) -> None:
    record_tests(planned, DAY, with_audience("thanks", holdout_share=Decimal("0.5")))
    error = refused(planned, replace(changed(salt="2"), universal=()))
    assert [line.split(":")[0] for line in error.message.splitlines()[1:]] == [
        "  campaign dormant",
        "  campaign thanks",
        "  universal holdout of 2026-07-01",
    ]


@pytest.mark.parametrize(("ends", "is_over"), [(DAY, True), (NEXT, False), (None, False)])
def test_a_test_that_is_over_may_change(planned: Path, ends: date | None, is_over: bool) -> None:
    tests = changed(salt="2", test_ends_on=ends)
    if is_over:
        refuse_changed_tests(planned, NEXT, tests)
    else:
        refused(planned, tests)


def test_a_campaign_that_is_gone_is_no_test(planned: Path) -> None:
    refuse_changed_tests(planned, NEXT, replace(TESTS, audiences={"thanks": AUDIENCES["thanks"]}))


def test_a_test_may_begin(planned: Path) -> None:
    refuse_changed_tests(planned, NEXT, with_audience("thanks", variants=HALVES))


def test_a_later_plan_does_not_count_for_an_earlier_one(planned: Path) -> None:
    refuse_changed_tests(planned, DAY - timedelta(days=1), changed(salt="2"))


def test_the_latest_plan_with_the_campaign_counts(planned: Path) -> None:
    record_tests(planned, NEXT, changed(salt="2"))
    record_tests(planned, NEXT + timedelta(days=1), TESTS, [])
    refuse_changed_tests(planned, NEXT + timedelta(days=2), changed(salt="2"))
    assert "salt was 2, is 1 (as in the plan of 2026-07-02)" in str(refused(planned, TESTS, NEXT + timedelta(days=2)))


def test_after_its_end_a_campaign_goes_on_without_a_test_or_with_a_new_one(planned: Path) -> None:
    ended = {"holdout_share": Decimal(0), "variants": ()}
    record_tests(planned, NEXT, changed(**ended, test_ends_on=DAY), [])
    later = NEXT + timedelta(days=1)
    refuse_changed_tests(planned, later, changed(**ended))
    refuse_changed_tests(planned, later, changed(salt="2", variants=THIRDS))
    record_tests(planned, later, changed(salt="2", variants=THIRDS))
    refused(planned, changed(salt="3", variants=THIRDS), later)


def test_a_campaign_of_an_audience_that_names_campaigns(tmp_path: Path) -> None:
    record_tests(tmp_path, DAY, with_audience("news", variants=HALVES))
    assert {"dormant", "news", "news_tea"} <= document(tmp_path)["campaigns"].keys()
    error = refused(tmp_path, with_audience("news", variants=THIRDS))
    assert "campaign news: " in error.message
    assert "campaign news_tea: " in error.message


def test_what_was_no_test_becomes_one_only_after_its_lists_have_gone_out(planned: Path) -> None:
    held_out = with_audience("thanks", holdout_share=Decimal("0.5"))
    with pytest.raises(BarometerError, match="campaign thanks: holdout_share was 0, is 0.5"):
        refuse_changed_tests(planned, DAY, held_out)
    refuse_changed_tests(planned, DAY + timedelta(days=1), held_out)


# --- The universal holdout.


@pytest.mark.parametrize(
    ("rows", "now"),
    [
        ((YEARS[0], replace(YEARS[1], share=Decimal("0.1"))), "0.1 from 2026-01-01 with the salt 2026"),
        ((YEARS[0], replace(YEARS[1], salt="x")), "0.05 from 2026-01-01 with the salt x"),
        ((YEARS[0], replace(YEARS[1], valid_from=date(2026, 2, 1))), "0.05 from 2026-02-01 with the salt 2026"),
        (YEARS[:1], "0 from 2020-01-01 with the salt 2020"),
        ((), "none"),
        ((*YEARS, ShareFrom(DAY, "new", Decimal("0.2"))), "0.2 from 2026-07-01 with the salt new"),
    ],
)
def test_the_universal_holdout_can_t_be_changed(planned: Path, rows: tuple[ShareFrom, ...], now: str) -> None:
    error = refused(planned, replace(TESTS, universal=rows))
    assert error.message.splitlines()[1:] == [
        f"  universal holdout of 2026-07-01: was 0.05 from 2026-01-01 with the salt 2026, is {now}"
    ]
    assert "a new one with a valid_from that is still to come (after 2026-07-02)" in error.hint
    assert "test_ends_on" not in error.hint


def test_the_universal_holdout_may_begin_anew(planned: Path) -> None:
    refuse_changed_tests(planned, NEXT, replace(TESTS, universal=(*YEARS, ShareFrom(NEXT, "new", Decimal("0.2")))))


def test_no_universal_holdout_is_a_record_too(tmp_path: Path) -> None:
    record_tests(tmp_path, DAY, replace(TESTS, universal=()))
    assert document(tmp_path)["universal_holdout"] is None
    assert "was none, is 0.05 from 2026-01-01" in refused(tmp_path, TESTS).message


# --- The arms of the dose test.


def test_the_arms_of_a_dose_test_can_t_be_changed(tmp_path: Path) -> None:
    running = replace(TESTS, dose=(ShareFrom(DAY, "july", Decimal("0.1")),))
    record_tests(tmp_path, DAY, running)
    refuse_changed_tests(tmp_path, NEXT, running)
    for other in ((), (replace(running.dose[0], share=Decimal("0.2")),), (replace(running.dose[0], salt="x"),)):
        error = refused(tmp_path, replace(running, dose=other))
        assert "  arms of the dose test of 2026-07-01: was 0.1 from 2026-07-01 with the salt july, is" in error.message
        assert "dbt_project/seeds/dose_arms.csv" in error.hint
    ended = replace(running, dose=(*running.dose, ShareFrom(NEXT, "none", Decimal(0))))
    refuse_changed_tests(tmp_path, NEXT, ended)


def test_a_record_of_before_there_were_dose_tests_is_read(planned: Path) -> None:
    path = planned / DAY.isoformat() / "tests.json"
    path.write_text(json.dumps({name: part for name, part in document(planned).items() if name != "dose_arms"}))
    refuse_changed_tests(planned, NEXT, TESTS)


# --- Reading.


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"campaigns": {"a": 1}, "universal_holdout": null}', "\ud800"]
)
def test_a_record_that_can_t_be_read_is_named(planned: Path, content: str) -> None:
    path = planned / DAY.isoformat() / "tests.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    error = refused(planned, TESTS)
    assert str(path) in error.message
    assert "backup" in error.hint


def test_other_folders_are_passed_over(planned: Path) -> None:
    (planned / "old").mkdir()
    (planned / "old" / "tests.json").write_text("{")
    refuse_changed_tests(planned, NEXT, TESTS)


def test_the_tests_of_a_project(tmp_path: Path) -> None:
    for folder in ("seeds", "models/families", "models/audiences", "macros"):
        shutil.copytree(DBT_PROJECT / folder, tmp_path / folder)
    shutil.copyfile(DBT_PROJECT / "dbt_project.yml", tmp_path / "dbt_project.yml")
    header = (tmp_path / "seeds" / "campaign_settings.csv").read_text().splitlines()[0]
    (tmp_path / "seeds" / "campaign_settings.csv").write_text(
        f"{header}\nreactivate_dormant,,,,,a:0.25|b:0.75,9,,,,2026-12-31,\nnews_tea,,,,0.5,,,,,,,\n"
    )
    tests = current_tests(tmp_path)
    test = tests.of("reactivate_dormant", "reactivate_dormant")
    assert test is not None
    assert (test.salt, test.variants, test.test_ends_on) == (
        "9", (("a", Decimal("0.25")), ("b", Decimal("0.75"))), date(2026, 12, 31)
    )  # fmt: skip
    assert test.holdout_share == tests.audiences["reactivate_dormant"].holdout_share
    news = tests.of("news_tea", "category_news")
    assert news is not None
    assert news.holdout_share == Decimal("0.5")
    assert tests.of("news_tea", "reactivate_dormant") is None
    assert tests.of("gone", "gone") is None
    today = tests.universal_on(DAY)
    assert today is not None
    assert today.salt == "2026"
    assert tests.universal_on(date(2019, 1, 1)) is None
