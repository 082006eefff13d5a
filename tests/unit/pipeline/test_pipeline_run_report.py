"""The report of a run, from the events of small runs."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.errors import BarometerError
from orchestration.report.charts import bar_chart, day_chart, joined, sparkline
from orchestration.report.run_report import Check, RunReport, markdown, metadata_of, outcome_of, outline, report_of
from orchestration.resources import _of_its_date
from orchestration.settings import settings_from_environment


@dg.asset(
    key=["raw", "orders"],
    check_specs=[dg.AssetCheckSpec(name, asset=["raw", "orders"]) for name in ("good", "odd", "wrong", "same")],
)
def orders() -> dg.MaterializeResult:
    return dg.MaterializeResult(
        metadata={"files_loaded": 2, "rows_read": 1500, "rows_rejected": 3, "rows_duplicate": 1, "rows_erased": 0},
        check_results=[
            dg.AssetCheckResult(check_name="good", passed=True),
            dg.AssetCheckResult(check_name="odd", passed=False, severity=dg.AssetCheckSeverity.WARN),
            dg.AssetCheckResult(check_name="wrong", passed=False, metadata={"what_to_do": "look | at\nit"}),
            dg.AssetCheckResult(check_name="same", passed=True, metadata={"skipped": "same build"}),
        ],
    )


@dg.asset(key=["marts", "rfm"])
def rfm() -> dg.MaterializeResult:
    return dg.MaterializeResult(metadata={"Execution Duration": 0.25, "dagster/row_count": 40})


@dg.asset(key=["published", "file"])
def published() -> None:
    raise ValueError("no room")


@pytest.fixture(scope="module")
def report() -> RunReport:
    with dg.DagsterInstance.ephemeral() as instance:
        run = dg.materialize([orders, rfm, published], instance=instance, raise_on_error=False)
        return report_of(instance.all_logs(run.run_id))


def test_what_was_loaded_built_checked_and_what_failed(report: RunReport) -> None:
    assert dict(outline(report)) == {
        "Loaded": "1,500 rows of 2 files; 1 duplicate, 0 erased",
        "Rejected": "3 rows, 0 unreadable files",
        "Skipped": "nothing",
        "Built": "1 models and seeds, 40 rows",
        "Checked": "1 passed, 1 warned, 1 failed, 1 skipped",
        "Published": "nothing",
        "Extracts": "nothing",
        "Failed": "published__file",
    }
    assert set(report.seconds) == {"raw__orders", "marts__rfm"}


def test_checks_that_need_somebody_are_listed_with_what_to_do(report: RunReport) -> None:
    records = metadata_of("The run", report, {})["needs_attention"].records
    assert {tuple(record.data.values()) for record in records} == {
        ("odd", "raw/orders", "warned", ""),
        ("wrong", "raw/orders", "failed", "look | at\nit"),
    }


def test_the_text_is_short_enough_to_be_shown_at_once(report: RunReport) -> None:
    text = markdown("The run", report)
    assert text.startswith("### The run\n")
    assert "| **Rejected** | 3 rows, 0 unreadable files |" in text
    assert len(text) < 1000


def test_numbers_that_can_be_plotted_and_paths(report: RunReport) -> None:
    metadata = metadata_of("The run", report, {"dbt_log": "/logs/dbt.log"})
    assert (metadata["rows_loaded"], metadata["rows_rejected"], metadata["models_built"]) == (1500, 3, 1)
    assert (metadata["checks_failed"], metadata["checks_warned"]) == (1, 1)
    assert metadata["dbt_log"].value == "/logs/dbt.log"
    assert [record.data for record in metadata["slowest_models"].records] == [
        {"model": "marts/rfm", "seconds": 0.25, "rows": 40}
    ]


def test_a_run_that_did_nothing() -> None:
    assert dict(outline(RunReport()))["Built"] == "0 models and seeds, 0 rows"
    assert metadata_of("The run", RunReport(), {})["seconds"] == 0


@pytest.mark.parametrize(
    ("passed", "is_warning", "is_skipped", "outcome"),
    [
        (True, False, False, "passed"),
        (True, True, False, "passed"),
        (False, True, False, "warned"),
        (False, False, False, "failed"),
        (True, False, True, "skipped"),
    ],
)
def test_outcome(passed: bool, is_warning: bool, is_skipped: bool, outcome: str) -> None:
    assert outcome_of(Check("check", "raw/orders", passed, is_warning, is_skipped, "")) == outcome


def test_the_date_of_a_run_is_its_partition() -> None:
    settings = settings_from_environment({"BAROMETER_AS_OF": "2024-06-30", "BAROMETER_TODAY": "2024-07-01"})
    start, end = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
    assert _of_its_date(settings, {}).as_of.isoformat() == "2024-06-30"
    assert _of_its_date(settings, {"dagster/partition": "2024-05-31"}).as_of.isoformat() == "2024-05-31"
    assert _of_its_date(settings, {start: "2024-05-01", end: "2024-05-01"}).as_of.isoformat() == "2024-05-01"
    with pytest.raises(BarometerError, match="A run builds one date, not those from 2024-05-01 to 2024-05-02"):
        _of_its_date(settings, {start: "2024-05-01", end: "2024-05-02"})


def test_an_error_is_read_back_from_its_text() -> None:
    for error in (
        BarometerError("No room.", "Make room."),
        BarometerError("Two\nlines."),
        BarometerError("a: b", "c: d"),
    ):
        for text in (str(error), f"orchestration.errors.BarometerError: {error}\n"):
            read = BarometerError.from_text(text)
            assert (read.message, read.hint) == (error.message, error.hint)


def test_bars_are_as_long_as_what_they_count() -> None:
    lines = bar_chart([("all", 1600), ("half", 800), ("few", 1), ("none", 0)]).splitlines()
    assert lines[0] == lines[-1] == "```"
    assert lines[1:-1] == ["all  " + "█" * 24 + " 1,600", "half " + "█" * 12 + " 800", "few  ▏ 1", "none  0"]


def test_nothing_to_draw() -> None:
    assert bar_chart([]) == "```\n```"
    assert bar_chart([("none", 0)]) == "```\nnone  0\n```"


def test_a_line_of_days_is_as_high_as_what_they_count() -> None:
    assert sparkline([0, 1, 100, 200, 800, 801]) == "·▁▁▂██"
    assert sparkline([5, 5, 0]) == "██·"
    assert (sparkline([]), sparkline([0, 0])) == ("", "··")


def test_charts_of_the_same_days_are_joined() -> None:
    charts = [day_chart([(label, numbers)], "2 days") for label, numbers in (("events", [0, 1200]), ("orders", [4, 2]))]
    assert joined(charts).splitlines() == [
        "```",
        "events ·█ at most 1,200, last 1,200",
        "orders █▄ at most 4, last 2",
        "2 days",
        "```",
    ]


def test_the_report_shows_the_charts_of_what_was_loaded_and_published() -> None:
    charts = {name: day_chart([(name, [1, 2])], "2 days") for name in ("events", "orders")}
    assets = {
        "raw/users": {"rows_read": 1},
        **{f"raw/{name}": {"rows_by_day": chart} for name, chart in charts.items()},
        "published/barometer_duckdb": {"users_by_rfm": bar_chart([("champions", 3)]), "path": "somewhere"},
    }
    shown = metadata_of("A run", RunReport(assets), {})
    assert shown["rows_by_day"].value == joined(list(charts.values()))
    assert shown["users_by_rfm"].value == assets["published/barometer_duckdb"]["users_by_rfm"]
    assert "rows_by_day" not in metadata_of("A run", RunReport(), {})
