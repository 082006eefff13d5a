"""The three kinds of run through Dagster: nightly, the next night without news, intraday, and the backfill of a date.

The landing folder is the sample, and a file of consents cut off in the middle that comes later. One story, told once:
every test looks at what a part of it left behind.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from orchestration.command_line import SAMPLE, prepare_dagster_home
from orchestration.report.assets import RUN_REPORT
from orchestration.report.pipeline_runs import finished
from orchestration.settings import Settings, settings_from_environment
from orchestration.warehouse.build import BACKFILL, INTRADAY, NIGHTLY
from orchestration.warehouse.project import ensure_manifest

#: An order of somebody new, on a date that was built before it came.
ONE_MORE = "order_id,user_id,ordered_at,gross_amount\none-more,late,2026-06-20T10:00:00Z,10\n"
FIRST, SECOND, TODAY = "2026-06-28", "2026-06-29", "2026-06-30"
CHECK = "nothing_hides_a_wish_to_be_left_alone"
#: When something was loaded or built, and what records that: these differ from run to run.
CLOCKS = {"loaded_at", "seconds", "seen_at", "built_at"}
HISTORY = {"segment_history", "segment_migration", "segment_sizes"}


@dataclass
class Done:
    """A run, and what the folder looked like after it."""

    result: dg.ExecuteInProcessResult
    published: str
    working: str
    rows: dict[str, list[tuple[Any, ...]]]
    #: The rows of FIRST's own file, once there is one.
    backfilled: dict[str, list[tuple[Any, ...]]]
    extracts: set[str]

    @property
    def materialized(self) -> dict[str, dg.AssetMaterialization]:
        return {
            "/".join(event.asset_key.path): event.step_materialization_data.materialization
            for event in self.result.get_asset_materialization_events()
            if event.asset_key is not None
        }

    def partition_of(self, key: str) -> str | None:
        return next(
            event.partition
            for event in self.result.get_asset_materialization_events()
            if event.asset_key == dg.AssetKey(key.split("/"))
        )

    @property
    def report(self) -> dict[str, Any]:
        metadata = self.materialized["/".join(RUN_REPORT.path)].metadata
        return {name: getattr(value, "value", value) for name, value in metadata.items()}


@dataclass
class Story:
    """The runs by name."""

    settings: Settings
    runs: dict[str, Done] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Done:
        return self.runs[name]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def rows_of(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every mart, without the clocks of the machine and the record of runs."""
    with duckdb.connect(str(file), read_only=True) as con:
        columns: dict[str, list[str]] = {}
        for table, column in con.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'marts' "
            "and database_name = current_database() and table_name <> 'pipeline_runs' order by table_name, column_index"
        ).fetchall():
            columns.setdefault(table, []).extend([] if column in CLOCKS else [f'"{column}"'])
        return {
            table: con.execute(f"select {', '.join(names)} from marts.{table} order by all").fetchall()
            for table, names in columns.items()
        }


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("kinds")
    landing = folder / "landing"
    shutil.copytree(SAMPLE, landing, ignore=shutil.ignore_patterns("_*"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BAROMETER_")]:
            patch.delenv(name)
        patch.setenv("BAROMETER_LANDING", str(folder / "landing"))
        patch.setenv("BAROMETER_DATA", str(folder / "data"))
        patch.setenv("BAROMETER_SETTLE_SECONDS", "0")
        patch.setenv("BAROMETER_TODAY", TODAY)
        patch.setenv("DAGSTER_HOME", "")
        settings = settings_from_environment()
        prepare_dagster_home(settings)
        ensure_manifest(settings)
        from orchestration.definitions import defs

        definitions = defs()
        specs = definitions.resolve_all_asset_specs()
        told = Story(settings)
        with dg.DagsterInstance.get() as instance:

            def run(name: str, job: str, date: str | None, assets: Collection[dg.AssetKey] | None = None) -> None:
                result = definitions.resolve_job_def(job).execute_in_process(
                    instance=instance,
                    partition_key=date,
                    raise_on_error=False,
                    asset_selection=None if assets is None else list(assets),
                )
                told.runs[name] = Done(
                    result,
                    digest(settings.published_file),
                    digest(settings.working_file),
                    rows_of(settings.published_file),
                    rows_of(file) if (file := settings.backfills / f"{FIRST}.duckdb").exists() else {},
                    {path.name for path in settings.extracts.glob("*")},
                )

            run("first", NIGHTLY, FIRST)
            run("second", NIGHTLY, SECOND)
            run("today", INTRADAY, TODAY)
            run("backfill", BACKFILL, FIRST)
            run("wrong job", BACKFILL, SECOND)
            run("another wrong job", INTRADAY, SECOND)
            # what somebody may ask for in the UI: a part of an older date, and all that has no date
            run("a part", NIGHTLY, FIRST, [dg.AssetKey(["marts", "rfm"])])
            (landing / "orders" / "one_more.csv").write_text(ONE_MORE)
            run(
                "upstream",
                NIGHTLY,
                None,
                [spec.key for spec in specs if spec.partitions_def is None and spec.key.path[0] != "control"],
            )
            run("backfill again", BACKFILL, FIRST)
            content = gzip.compress(b"user_id,channel,status,occurred_at\nu,email,withdrawn,2026-06-01\n" * 99)
            (landing / "consents" / "cut_off.csv.gz").write_bytes(content[: len(content) // 2])
            run("blocked", NIGHTLY, SECOND)
            yield told


def test_every_run_does_what_it_should(story: Story) -> None:
    assert {name: done.result.success for name, done in story.runs.items()} == {
        "first": True,
        "second": True,
        "today": True,
        "backfill": True,
        "wrong job": False,
        "another wrong job": False,
        "a part": False,
        "upstream": True,
        "backfill again": True,
        "blocked": False,
    }


def test_what_is_of_a_date_is_recorded_under_it(story: Story) -> None:
    for key in ("marts/rfm", "families/fam_rfm", "intermediate/int_known_users"):
        assert story["first"].partition_of(key) == FIRST, key
        assert story["backfill"].partition_of(key) == FIRST, key
    assert story["first"].partition_of("published/barometer_duckdb") == FIRST
    for key in ("raw/orders", "policy/rfm_map", "staging/stg_orders", "intermediate/int_user_orders_daily"):
        assert story["first"].partition_of(key) is None, key


def test_models_say_how_many_rows_they_have_and_how_long_they_took(story: Story) -> None:
    done = story["first"]
    for key in ("marts/rfm", "marts/user_360", "families/fam_rfm", "staging/stg_orders", "policy/rfm_map"):
        metadata = done.materialized[key].metadata
        assert metadata["Execution Duration"].value > 0, key
        if key.startswith("marts/"):
            assert metadata["dagster/row_count"].value == len(done.rows[key.removeprefix("marts/")]), key
    assert "dagster/row_count" not in done.materialized["marts/user_segments"].metadata


def test_a_night_without_news_builds_only_what_is_of_the_date(story: Story) -> None:
    built = {key for key, event in story["second"].materialized.items() if "Execution Duration" in event.metadata}
    assert {key.split("/")[0] for key in built} == {"intermediate", "families", "audiences", "marts"}
    assert not any("daily" in key or "touched" in key for key in built)
    assert story["second"].rows["build_info"] != story["first"].rows["build_info"]
    assert story["second"].rows["fct_contacts"] != story["first"].rows["fct_contacts"]


def test_extracts_are_for_a_plan_date_that_is_not_past(story: Story) -> None:
    # the plan date of the first run is yesterday, that of the second today
    assert story["first"].extracts == set()
    assert story["second"].extracts == {SECOND}
    # no materialization: what is there is as old as it was
    assert "extracts/segments" not in story["first"].materialized
    assert "2026-06-29 is past (today is 2026-06-30)" in story["first"].report["report"]


def test_an_intraday_run_publishes_what_is_not_final_and_extracts_nothing(story: Story) -> None:
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        # the blocked run has published SECOND again: a final build takes the place of today's
        assert con.execute("select as_of::varchar, is_final from marts.build_info").fetchall() == [(SECOND, True)]
        dates = con.execute("select as_of::varchar, is_final from history.built_dates order by all").fetchall()
    assert dates == [(FIRST, True), (SECOND, True), (TODAY, False)]
    assert [row[1] for row in story["today"].rows["build_info"]] == [False]
    assert story["today"].extracts == {SECOND}
    assert "extracts/segments" not in story["today"].materialized


def test_an_intraday_run_leaves_the_plan_of_the_night_alone(story: Story) -> None:
    for table in ("contact_plan", "contact_suppressions", "channel_eligibility", "audience_catalog"):
        assert story["today"].rows[table] == story["second"].rows[table] != [], table
        assert "skipped" in story["today"].materialized[f"marts/{table}"].metadata, table
    assert not any(key.startswith("audiences/") for key in story["today"].materialized)
    assert story["today"].rows["contact_pressure"] != story["second"].rows["contact_pressure"]


def test_what_a_list_carries_is_kept(story: Story) -> None:
    # the first run's plan date was past, so it made no list
    assert {path.parent.name for path in plan_files(story)} == {TODAY}
    with duckdb.connect() as con:
        rows = con.execute(
            "select user_id, campaign_id, audience from read_parquet(?, hive_partitioning = false)",
            [[str(path) for path in plan_files(story)]],
        ).fetchall()
    planned = {(row[1], row[2], row[3]) for row in story["second"].rows["contact_plan"] if row[7] is None}
    vetoed = sum(record.data["vetoed"] for record in lists_of(story["second"]))
    assert vetoed > 0
    assert set(rows) < planned
    assert len(rows) == len(planned) - vetoed


def lists_of(done: Done) -> list[dg.TableRecord]:
    """The plan lists that the run wrote, as the asset of the extracts shows them."""
    return done.materialized["extracts/segments"].metadata["plan_lists"].value.records


def plan_files(story: Story) -> list[Path]:
    return sorted(story.settings.planned_contacts.rglob("*.parquet"))


def test_a_backfill_gives_what_the_night_gave(story: Story) -> None:
    expected, backfilled = story["first"].rows, story["backfill"].backfilled
    # a file of one date has no history
    expected = {table: rows for table, rows in expected.items() if table not in HISTORY}
    assert backfilled.keys() == expected.keys()
    for table, rows in expected.items():
        assert backfilled[table] == rows, table


def test_the_history_holds_what_each_night_gave(story: Story) -> None:
    for name, day in (("first", FIRST), ("second", SECOND)):
        done = story[name]
        expected = {row[:3] for row in done.rows["user_segments"]}
        assert {row[:3] for row in done.rows["segment_history"] if row[4] is None} == expected
        assert {str(row[0]) for row in done.rows["segment_sizes"]} == {FIRST, day}
    # today is not final, and a backfill of the same rows changes nothing
    for table in HISTORY:
        assert story["today"].rows[table] == story["second"].rows[table], table
    moved = {row[0] for row in story["second"].rows["segment_migration"]}
    assert moved == {"day"}


def test_a_backfill_rewrites_the_history(story: Story) -> None:
    """The order of somebody new came after both nights: the backfill of the first knows it, the second knew nobody."""
    published = story["blocked"].rows["segment_history"]
    spans = [row[1:] for row in published if row[0] == "late" and row[1] == "rfm"]
    assert [(str(since), until) for _, _, since, until in spans] == [(FIRST, None)]


def test_a_backfill_knows_what_has_been_loaded_since(story: Story) -> None:
    before, after = story["backfill"].backfilled, story["backfill again"].backfilled
    assert {row[0] for row in after["rfm"]} - {row[0] for row in before["rfm"]} == {"late"}
    assert len(after["user_360"]) == len(before["user_360"]) + 1


def test_a_part_of_an_older_date_is_refused(story: Story) -> None:
    failure = story["a part"].result.failure_data_for_node("dbt_models")
    assert failure is not None and failure.error is not None and failure.error.cause is not None
    assert f"{FIRST} is an older date, which is built whole or not at all" in failure.error.cause.message


def test_what_has_no_date_can_be_built_alone(story: Story) -> None:
    done = story["upstream"]
    assert "raw/orders" in done.materialized and "staging/stg_orders" in done.materialized
    assert not {"marts", "families", "published"} & {key.split("/")[0] for key in done.materialized}
    assert done.published == story["backfill"].published


def test_a_backfill_leaves_everything_else_alone(story: Story) -> None:
    assert story["backfill"].published == story["today"].published
    assert story["backfill"].working == story["today"].working
    assert {path.name for path in story.settings.backfills.iterdir()} == {f"{FIRST}.duckdb"}
    assert not {"raw/orders", "published/barometer_duckdb"} & story["backfill"].materialized.keys()
    assert story["backfill"].report["backfilled_file"] == str(story.settings.backfills / f"{FIRST}.duckdb")
    assert "published_file" not in story["backfill"].report


def test_a_job_of_one_kind_refuses_the_date_of_another(story: Story) -> None:
    for name, job in (("wrong job", "backfill"), ("another wrong job", "intraday")):
        (failure,) = [event for event in story[name].result.all_events if event.is_job_failure]
        assert f"{SECOND} is no date for the job {job}: a run of it is nightly" in str(failure.job_failure_data.error)
    assert story["wrong job"].published == story["today"].published


def test_the_published_file_has_its_plots(story: Story) -> None:
    metadata = story["first"].materialized["published/barometer_duckdb"].metadata
    for name in ("users_by_engagement", "users_by_rfm", "users_by_contacts_in_7_days"):
        plot = str(metadata[name].value)
        assert "█" in plot, name
        # more would hide behind a link
        assert len(plot) < 1000, name
    assert metadata["users"].value == len(story["first"].rows["contact_pressure"])


def test_the_report_says_what_was_done(story: Story) -> None:
    report = story["first"].report
    load_files = story["first"].rows["load_files"]
    assert report["rows_loaded"] == sum(
        event.metadata["rows_read"].value
        for key, event in story["first"].materialized.items()
        if key.startswith("raw/") and "rows_read" in event.metadata
    )
    assert report["rows_rejected"] == len(story["first"].rows["rejected_rows"]) > 0
    assert sum(row.data["rows"] for row in report["rejected"].records) == report["rows_rejected"]
    assert sum(row.data["files"] for row in report["loaded"].records) == len(load_files)
    assert report["models_built"] > 60
    assert report["checks_failed"] == 0
    assert report["published_file"] == str(story.settings.published_file)
    assert Path(report["dbt_log"]).exists()
    for word in ("Loaded", "Rejected", "Skipped", "Built", "Checked", "Published", "Extracts"):
        assert f"**{word}**" in report["report"], word
    assert f"nightly run of {FIRST}" in report["report"]


def test_the_report_of_a_night_without_news_says_what_was_skipped(story: Story) -> None:
    report = story["second"].report
    assert report["rows_loaded"] == 0
    assert "files loaded before" in report["report"]
    assert report["extracts_folder"] == str(story.settings.extracts / SECOND)


def test_a_failing_check_stands_at_its_asset_and_in_the_report(story: Story) -> None:
    done = story["blocked"]
    failed = [check for check in done.result.get_asset_check_evaluations() if not check.passed]
    failed = [check for check in failed if check.severity == dg.AssetCheckSeverity.ERROR]
    assert [(check.check_name, "/".join(check.asset_key.path)) for check in failed] == [
        (CHECK, "published/barometer_duckdb")
    ]
    assert "acknowledged_rejects.csv" in str(failed[0].metadata["what_to_do"].value)
    # what was written for the date before may hold somebody who has said no since
    assert done.extracts == set()
    assert "extracts/segments" not in done.materialized
    assert done.report["checks_failed"] == 1
    listed = {record.data["check"]: record.data for record in done.report["needs_attention"].records}
    assert (listed[CHECK]["asset"], listed[CHECK]["outcome"]) == ("published/barometer_duckdb", "failed")
    assert "acknowledged_rejects.csv" in str(listed[CHECK]["detail"])


def test_every_stage_of_every_run_is_on_record(story: Story) -> None:
    found = [(row[1], row[2], row[3], row[8]) for row in finished(story.settings.activation_file)]
    assert found == [
        (FIRST, "nightly", "load", "succeeded"),
        (FIRST, "nightly", "build", "succeeded"),
        (FIRST, "nightly", "publish", "succeeded"),
        # its plan date is past
        (FIRST, "nightly", "extract", "skipped"),
        *((SECOND, "nightly", stage, "succeeded") for stage in ("load", "build", "publish", "extract")),
        *((TODAY, "intraday", stage, "succeeded") for stage in ("load", "build", "publish")),
        (FIRST, "backfill", "build", "succeeded"),
        # a part of an older date
        (FIRST, "backfill", "build", "failed"),
        *((SECOND, "nightly", stage, "succeeded") for stage in ("load", "build")),
        (FIRST, "backfill", "build", "succeeded"),
        *((SECOND, "nightly", stage, "succeeded") for stage in ("load", "build", "publish")),
    ]
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        published = con.execute(
            "select as_of::varchar, kind, stage, outcome from marts.pipeline_runs order by started_at"
        )
        # all but the publishing that it was part of
        assert published.fetchall() == found[:-1]
