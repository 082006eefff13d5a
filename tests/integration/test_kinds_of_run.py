"""The three kinds of run through Dagster: nightly, the same day again, intraday, and the backfill of dates.

The landing folder is the sample. Its last day comes in two halves, and a file of consents cut off in the middle later.
One story, told once: every test looks at what a part of it left behind. Beside it, for `make soak`, a copy of the data
folder goes the same way without the intraday run.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
import sqlalchemy as sa

from orchestration.automation.backfill import build_range, wanted_dates
from orchestration.automation.jobs import SYNC
from orchestration.command_line import SAMPLE, prepare_dagster_home
from orchestration.errors import BarometerError
from orchestration.report.assets import RUN_REPORT
from orchestration.report.pipeline_runs import finished
from orchestration.settings import ROOT, Settings, settings_from_environment
from orchestration.warehouse.build import BACKFILL, INTRADAY, NIGHTLY
from orchestration.warehouse.project import ensure_manifest, mart_descriptions, read_manifest
from tests.personal_data import bytes_found, personal_values, words_of
from tests.standins.braze import BrazeStandIn

#: An order of somebody new, on a date that was built before it came.
ONE_MORE = "order_id,user_id,ordered_at,gross_amount\none-more,late,2026-06-20T10:00:00Z,10\n"
FIRST, SECOND, TODAY, TOMORROW = "2026-06-28", "2026-06-29", "2026-06-30", "2026-07-01"
#: Somebody whose every personal value has this in it, and rows that are rejected for it.
MARK = "mark.4711"
MARKED = {
    "users": f'{{"user_id": "u-marked", "email": "{MARK}@example.org", "first_name": "{MARK}", "city": "Lyon"}}',
    "addresses": f'{{"user_id": "u-marked", "channel": "push", "address": "{MARK}", "updated_at": "2026-06-01"}}',
    "events": '{"event_id": "e-marked", "user_id": "u-marked", "event": "page", "timestamp": "2026-06-01T10:00:00Z", '
    f'"properties": {{"query": "{MARK}"}}}}',
    "orders": f'{{"order_id": "o-marked", "user_id": "u-marked", "ordered_at": "{MARK}", "gross_amount": 1}}',
}
#: What goes where, beside the files: what Braze is told by a stand-in on loopback.
DESTINATIONS = """
destinations:
  files:
    type: files
    options: {{url: deliveries}}
    channels: all
    audiences: all
    segments: {{attributes: {{engagement: engagement}}}}
  braze:
    type: braze
    options: {{url: "{url}", key_env: BRAZE_KEY}}
    channels: [email, push]
    audiences: [next_cycle, second_visit]
    segments: {{attributes: {{engagement: engagement, rfm: rfm, next_eligible_date: next_eligible_date}}}}
"""
IN_SEGMENTS = ("engagement", "rfm", "next_eligible_date")
LAST_DAY = "2026/06/30"
#: Which datasets of the last day are there from the beginning, so that they veto, and which come in its morning.
EARLY, MORNING = {"consents", "message_events"}, {"events", "users"}
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
    #: The dates that were built, and whether for good.
    dates: list[tuple[str, bool]]
    #: Calls to Braze, and what it has after them: attributes by user.
    calls: int
    at_braze: dict[str, dict[str, Any]]

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
    """The runs by name, what the folder held around the second of the same date, and what was said of ranges."""

    settings: Settings
    without_intraday: Settings
    runs: dict[str, Done] = field(default_factory=dict)
    before_again: dict[str, Any] = field(default_factory=dict)
    after_again: dict[str, Any] = field(default_factory=dict)
    with_intraday: dict[str, Any] = field(default_factory=dict)
    had_it_not_been: dict[str, Any] = field(default_factory=dict)
    ranges: dict[str, dict[str, str] | str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    #: What the extracts of a date had for Braze when it was sent, by audience: keys.
    for_braze: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    #: By content: most runs leave a file as it was.
    _rows: dict[str, dict[str, list[tuple[Any, ...]]]] = field(default_factory=dict)

    def rows_of(self, file: Path) -> dict[str, list[tuple[Any, ...]]]:
        content = digest(file)
        if content not in self._rows:
            self._rows[content] = rows_of(file)
        return self._rows[content]

    def __getitem__(self, name: str) -> Done:
        return self.runs[name]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


#: Records of runs say when something happened on this machine.
_NO_RECORD = "table_name not in ('pipeline_runs', 'sync_runs', 'sync_rows')"


def rows_of(file: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of every mart, without the clocks of the machine and the record of runs."""
    with duckdb.connect(str(file), read_only=True) as con:
        columns: dict[str, list[str]] = {}
        for table, column in con.execute(
            "select table_name, column_name from duckdb_columns() where schema_name = 'marts' "
            f"and database_name = current_database() and {_NO_RECORD} order by table_name, column_index"
        ).fetchall():
            columns.setdefault(table, []).extend([] if column in CLOCKS else [f'"{column}"'])
        return {
            table: con.execute(f"select {', '.join(names)} from marts.{table} order by all").fetchall()
            for table, names in columns.items()
        }


def tables_of(file: Path, left_out: Collection[str] = CLOCKS) -> dict[str, tuple[int, int]]:
    """How many rows each table of a file has, and the sum of their hashes."""
    found = {}
    with duckdb.connect(str(file), read_only=True) as con:
        for schema, table, columns in con.execute(
            "select schema_name, table_name, list(column_name order by column_name) from duckdb_columns() "
            f"where database_name = current_database() and not internal and {_NO_RECORD} group by all"
        ).fetchall():
            names = ", ".join(f'"{column}"' for column in columns if column not in left_out) or "null"
            found[f"{file.stem}.{schema}.{table}"] = con.execute(
                f'select count(*), coalesce(sum(hash(t)), 0) from (select {names} from "{schema}"."{table}") as t'
            ).fetchall()[0]
    return found


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder.parent)): digest(path) for path in folder.rglob("*") if path.is_file()}


def left_behind(settings: Settings) -> dict[str, Any]:
    """What a run leaves behind, records of runs apart: files by their bytes, tables of DuckDB files by their rows."""
    return {
        **files_of(settings.extracts),
        **files_of(settings.planned_contacts),
        "published": digest(settings.published_file),
        **tables_of(settings.working_file),
        **tables_of(settings.build_file),
    }


def came_of_it(settings: Settings) -> dict[str, Any]:
    """What the two ways must have in common: all but numbers of loads, and what follows from their order."""
    extracts = {name: text for name, text in files_of(settings.extracts).items() if not name.endswith("manifest.json")}
    manifest = json.loads((settings.extracts / TODAY / "manifest.json").read_text())
    tables = tables_of(settings.build_file, CLOCKS | {"load_id", "fingerprint"})
    published = tables_of(settings.published_file, CLOCKS | {"load_id", "fingerprint"})
    planned = files_of(settings.planned_contacts)
    return {**extracts, "manifest": {**manifest, "build": None}, **tables, **published, **planned}


def keys_of(file: Path) -> list[str]:
    with duckdb.connect() as con:
        return [key for (key,) in con.execute("select key from read_parquet(?) order by key", [str(file)]).fetchall()]


def land(landing: Path, is_wanted: Callable[[str, str], bool]) -> None:
    """Let files of the sample land: those of which ``is_wanted`` says so, by dataset and path."""
    for path in SAMPLE.rglob("*"):
        place = path.relative_to(SAMPLE)
        if path.is_file() and not place.parts[0].startswith("_") and is_wanted(place.parts[0], place.as_posix()):
            (landing / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, landing / place)


@pytest.fixture(scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    items = [item for item in request.session.items if item.path == request.path]
    is_long = any(item.get_closest_marker("soak") for item in items)
    folder = tmp_path_factory.mktemp("kinds")
    landing = folder / "landing"
    land(landing, lambda dataset, path: LAST_DAY not in path or dataset in EARLY)
    for dataset, row in MARKED.items():
        (landing / dataset / "marked.jsonl").write_text(row + "\n")
    with pytest.MonkeyPatch.context() as patch, BrazeStandIn() as braze:
        for name in [name for name in os.environ if name.startswith("BAROMETER_")]:
            patch.delenv(name)
        patch.setenv("BAROMETER_LANDING", str(folder / "landing"))
        patch.setenv("BAROMETER_DATA", str(folder / "data"))
        patch.setenv("BAROMETER_SETTLE_SECONDS", "0")
        patch.setenv("BAROMETER_TODAY", TODAY)
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("BRAZE_KEY", braze.environment["BRAZE_KEY"])
        patch.setenv("BAROMETER_DESTINATIONS", str(folder / "destinations.yml"))
        (folder / "destinations.yml").write_text(DESTINATIONS.format(url=braze.url))
        settings = settings_from_environment()
        prepare_dagster_home(settings)
        ensure_manifest(settings)
        from orchestration.definitions import defs

        definitions = defs()
        specs = definitions.resolve_all_asset_specs()
        told = Story(settings, replace(settings, data=folder / "other"))
        with dg.DagsterInstance.get() as instance:

            def run(
                name: str,
                job: str,
                date: str | None,
                assets: Collection[dg.AssetKey] | None = None,
                settings: Settings = settings,
            ) -> None:
                patch.setenv("BAROMETER_DATA", str(settings.data))
                braze.requests.clear()
                result = definitions.resolve_job_def(job).execute_in_process(
                    instance=instance,
                    partition_key=date,
                    raise_on_error=False,
                    asset_selection=None if assets is None else list(assets),
                )
                with duckdb.connect(str(settings.build_file), read_only=True) as con:
                    dates = con.execute("select as_of::varchar, is_final from history.built_dates order by all")
                    built = dates.fetchall()
                published, file = settings.published_file, settings.backfills / f"{FIRST}.duckdb"
                told.runs[name] = Done(
                    result,
                    digest(published),
                    digest(settings.working_file),
                    told.rows_of(published),
                    told.rows_of(file) if file.exists() else {},
                    {path.name for path in settings.extracts.glob("*")},
                    built,
                    len(braze.requests),
                    {user: dict(profile) for user, profile in braze.profiles.items()},
                )
                lists = sorted((settings.extracts / str(date) / "destinations" / "braze").glob("*.parquet"))
                told.for_braze[name] = {path.stem: keys_of(path) for path in lists}

            def ask(name: str, first: str, last: str) -> None:
                try:
                    found = wanted_dates(settings, date.fromisoformat(first), date.fromisoformat(last))
                    told.ranges[name] = {str(each.as_of): each.why.partition(":")[0] for each in found}
                except BarometerError as error:
                    told.ranges[name] = f"{error.message} {error.hint}"

            run("first", NIGHTLY, FIRST)
            run("second", NIGHTLY, SECOND)
            told.before_again = left_behind(settings)
            shutil.rmtree(settings.extracts)
            run("second again", NIGHTLY, SECOND)
            told.after_again = left_behind(settings)
            ask("before any backfill", "2026-06-27", FIRST)
            ask("too late", "2026-06-27", SECOND)
            ask("backwards", FIRST, "2026-06-27")
            run("backfill", BACKFILL, FIRST)
            ask("after a backfill", "2026-06-27", FIRST)
            run("wrong job", BACKFILL, SECOND)
            # what somebody may ask for in the UI: a part of an older date
            run("a part", NIGHTLY, FIRST, [dg.AssetKey(["marts", "rfm"])])
            if is_long:
                # here the ways part
                shutil.copytree(settings.data, told.without_intraday.data, ignore=shutil.ignore_patterns("dagster"))
            land(landing, lambda dataset, path: LAST_DAY in path and dataset in MORNING)
            run("today", INTRADAY, TODAY)
            # what the command does on a day that is not over
            run("today, all of it", NIGHTLY, TODAY)
            run("another wrong job", INTRADAY, SECOND)
            land(landing, lambda dataset, path: LAST_DAY in path and dataset not in EARLY | MORNING)
            patch.setenv("BAROMETER_TODAY", TOMORROW)
            run("night", NIGHTLY, TODAY)
            if is_long:
                told.with_intraday = came_of_it(settings)
                run("night without intraday", NIGHTLY, TODAY, settings=told.without_intraday)
                told.had_it_not_been = came_of_it(told.without_intraday)
                shutil.rmtree(told.without_intraday.data)
                patch.setenv("BAROMETER_DATA", str(settings.data))
            # all that has no date
            (landing / "orders" / "one_more.csv").write_text(ONE_MORE)
            run(
                "upstream",
                NIGHTLY,
                None,
                [spec.key for spec in specs if spec.partitions_def is None and spec.key.path[0] != "control"],
            )
            ask("after more has landed", FIRST, SECOND)
            wanted = wanted_dates(settings, date.fromisoformat(FIRST), date.fromisoformat(FIRST))
            build_range(wanted, lambda day: run("backfill again", BACKFILL, str(day)), told.said.append)
            content = gzip.compress(b"user_id,channel,status,occurred_at\nu,email,withdrawn,2026-06-01\n" * 99)
            (landing / "consents" / "cut_off.csv.gz").write_bytes(content[: len(content) // 2])
            run("blocked", NIGHTLY, TODAY)
            # nothing is built or extracted any more, and the day of the lists is over
            patch.setenv("BAROMETER_TODAY", "2026-07-02")
            run("sync alone", SYNC, TODAY)
            told.problems = braze.problems
            yield told


def test_every_run_does_what_it_should(story: Story) -> None:
    assert {name: done.result.success for name, done in story.runs.items()} == {
        "first": True,
        "second": True,
        "second again": True,
        "backfill": True,
        "wrong job": False,
        "a part": False,
        "today": True,
        "today, all of it": True,
        "another wrong job": False,
        "night": True,
        **({"night without intraday": True} if story.had_it_not_been else {}),
        "upstream": True,
        "backfill again": True,
        "blocked": False,
        "sync alone": True,
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
    assert story["today"].dates == [(FIRST, True), (SECOND, True), (TODAY, False)]
    assert [row[1] for row in story["today"].rows["build_info"]] == [False]
    assert story["today"].extracts == {SECOND}
    assert "extracts/segments" not in story["today"].materialized
    whole = story["today, all of it"]
    assert (whole.dates, whole.extracts, whole.calls) == (story["today"].dates, {SECOND}, 0)
    # a final build takes its place
    assert story["night"].dates == [(FIRST, True), (SECOND, True), (TODAY, True)]
    assert [row[1] for row in story["night"].rows["build_info"]] == [True]


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def test_the_same_day_again_changes_nothing(story: Story) -> None:
    """Not even where the extracts were removed: they come out the same to the byte."""
    before = story.before_again
    assert len([name for name in before if name.startswith(f"extracts/{SECOND}/")]) > 20
    assert any(name.startswith(f"planned_contacts/{TODAY}/") for name in before)
    assert before["working.raw.events"][0] > 50_000 and before["build.history.segment_changes"][0] > 1000
    assert differing(before, story.after_again) == []
    assert "Execution Duration" not in story["second again"].materialized["marts/rfm"].metadata


@pytest.mark.soak
def test_a_night_is_as_if_the_intraday_run_had_not_been(story: Story) -> None:
    """Marts, history, extracts and plan lists; the halves of the day were loaded in another order."""
    assert story["today"].rows["fct_contacts"] != story["night"].rows["fct_contacts"]
    for name in (
        "barometer.marts.contact_plan",
        "build.history.segment_changes",
        f"extracts/{TODAY}/plan/abandoned_cart.csv",
    ):
        assert name in story.with_intraday, name
    assert differing(story.with_intraday, story.had_it_not_been) == []


def test_an_intraday_run_leaves_the_plan_of_the_night_alone(story: Story) -> None:
    for table in ("contact_plan", "contact_suppressions", "channel_eligibility", "audience_catalog"):
        assert story["today"].rows[table] == story["second"].rows[table] != [], table
        assert "skipped" in story["today"].materialized[f"marts/{table}"].metadata, table
    assert not any(key.startswith("audiences/") for key in story["today"].materialized)
    # and the measures, those that are computed after dbt too
    for table in ("campaign_performance", "ab_test_results", "fatigue_curve", "cap_simulation", "segment_quality"):
        assert story["today"].rows[table] == story["second"].rows[table] != [], table
    assert story["today"].rows["contact_pressure"] != story["second"].rows["contact_pressure"]


def test_what_a_list_carries_is_kept(story: Story) -> None:
    # the first run's plan date was past, so it made no list
    assert {path.parent.name for path in plan_files(story)} == {TODAY, TOMORROW}
    with duckdb.connect() as con:
        rows = con.execute(
            "select user_id, campaign_id, audience from read_parquet(?, hive_partitioning = false) "
            # whom the plan holds out is recorded beside
            "where holdout_kind is null",
            [[str(path) for path in plan_files(story) if path.parent.name == TODAY]],
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
    # today is not final
    for table in HISTORY:
        assert story["today"].rows[table] == story["second"].rows[table], table
    moved = {row[0] for row in story["second"].rows["segment_migration"]}
    assert moved == {"day"}


def test_a_backfill_rewrites_the_history(story: Story) -> None:
    """The order of somebody new came after the nights: the first, built again, knows it; the second knew nobody."""
    published = story["blocked"].rows["segment_history"]
    spans = [row[1:] for row in published if row[0] == "late" and row[1] == "rfm"]
    assert [(str(since), str(until)) for _, _, since, until in spans] == [(FIRST, SECOND), (TODAY, "None")]


def test_a_range_says_what_it_builds_and_why(story: Story) -> None:
    day_before = "2026-06-27"
    assert story.ranges["before any backfill"] == {day_before: "new", FIRST: "new"}
    assert story.ranges["after a backfill"] == {day_before: "new", FIRST: "same"}
    assert story.ranges["after more has landed"] == {FIRST: "changed", SECOND: "new"}
    assert f"{SECOND} is not before {SECOND}, the latest date that is built" in story.ranges["too late"]
    assert f"End the range at {FIRST}" in story.ranges["too late"]
    assert "ends before it begins" in story.ranges["backwards"]
    assert f"{FIRST} (1 of 1): changed" in story.said[0]
    assert "1 dates built" in story.said[-1] and "0 skipped" in story.said[-1]


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
    assert done.published == story["night"].published == story["backfill again"].published


def test_a_backfill_leaves_everything_else_alone(story: Story) -> None:
    before = story["second again"]
    assert (story["backfill"].published, story["backfill"].working) == (before.published, before.working)
    assert story["backfill"].extracts == before.extracts
    assert {path.name for path in story.settings.backfills.iterdir()} == {f"{FIRST}.duckdb"}
    assert not {"raw/orders", "published/barometer_duckdb"} & story["backfill"].materialized.keys()
    assert story["backfill"].report["backfilled_file"] == str(story.settings.backfills / f"{FIRST}.duckdb")
    assert "published_file" not in story["backfill"].report


def test_a_job_of_one_kind_refuses_the_date_of_another(story: Story) -> None:
    for name, job in (("wrong job", "backfill"), ("another wrong job", "intraday")):
        (failure,) = [event for event in story[name].result.all_events if event.is_job_failure]
        assert f"{SECOND} is no date for the job {job}: a run of it is nightly" in str(failure.job_failure_data.error)
    assert story["wrong job"].published == story["backfill"].published


def test_the_published_file_has_its_plots(story: Story) -> None:
    metadata = story["first"].materialized["published/barometer_duckdb"].metadata
    for name in ("users_by_engagement", "users_by_rfm", "users_by_pressure_status", "users_by_contacts_in_7_days"):
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
    assert done.extracts == {SECOND}
    assert "extracts/segments" not in done.materialized
    assert done.report["checks_failed"] == 1
    listed = {record.data["check"]: record.data for record in done.report["needs_attention"].records}
    assert (listed[CHECK]["asset"], listed[CHECK]["outcome"]) == ("published/barometer_duckdb", "failed")
    assert "acknowledged_rejects.csv" in str(listed[CHECK]["detail"])


# what providers have


def members(done: Done, audience: str) -> list[str]:
    """Who is a member at Braze: whose profile has an attribute of the audience."""
    mine = IN_SEGMENTS if audience == "segments" else (f"{audience}_plan_date",)
    return sorted(user for user, profile in done.at_braze.items() if any(profile.get(name) for name in mine))


def test_what_a_night_extracts_is_what_the_provider_has(story: Story) -> None:
    for night in ("second", "night"):
        sent = story.for_braze[night]
        assert set(sent) == {"segments", "next_cycle", "second_visit"} and all(sent.values())
        for audience, keys in sent.items():
            assert members(story[night], audience) == keys, (night, audience)
        assert story[night].calls > 0
    assert story.problems == []


def test_the_same_day_again_and_all_that_is_no_night_calls_no_provider(story: Story) -> None:
    quiet = ("first", "second again", "backfill", "today", "backfill again", "upstream")
    assert {name: story[name].calls for name in quiet} == dict.fromkeys(quiet, 0)


def test_lists_end_with_their_day_though_no_night_succeeds(story: Story) -> None:
    assert members(story["blocked"], "next_cycle") == members(story["night"], "next_cycle") != []
    assert members(story["sync alone"], "next_cycle") == members(story["sync alone"], "second_visit") == []
    # who is in no list any more is still known by what lasts
    assert members(story["sync alone"], "segments") == members(story["night"], "segments")


def test_a_sync_shows_what_it_sent_and_what_stopped_it(story: Story) -> None:
    shown = story["night"].materialized["sync/braze/next_cycle"].metadata
    ended = len(story.for_braze["second"]["next_cycle"])
    assert shown["rows_accepted"].value == len(story.for_braze["night"]["next_cycle"])
    assert (shown["rows_removed"].value, shown["outcome"].value) == (ended, "complete")
    checks = {check.check_name: check for check in story["sync alone"].result.get_asset_check_evaluations()}
    stopped = checks["braze_has_all_of_next_cycle"]
    assert not stopped.passed and "--allow past" in str(stopped.metadata["what_to_do"].value)


def test_the_published_file_says_what_was_sent(story: Story) -> None:
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        rows = con.execute(
            "select user_id from marts.sync_rows where destination = 'braze' and audience = 'segments' "
            "and status = 'accepted' order by 1"
        ).fetchall()
        last = con.execute(
            "select outcome, guard, removed from marts.sync_runs where destination = 'braze' "
            "and audience = 'second_visit' order by started_at desc limit 1"
        ).fetchone()
    assert [user for (user,) in rows] == story.for_braze["night"]["segments"]
    assert last == ("stopped", "past,blocked,incomplete", len(story.for_braze["night"]["second_visit"]))


def test_every_stage_of_every_run_is_on_record(story: Story) -> None:
    found = [(row[1], row[2], row[3], row[8]) for row in finished(story.settings.activation_file)]
    syncs = ("sync braze", "sync files")
    assert found == [
        (FIRST, "nightly", "load", "succeeded"),
        (FIRST, "nightly", "build", "succeeded"),
        (FIRST, "nightly", "publish", "succeeded"),
        # its plan date is past
        (FIRST, "nightly", "extract", "skipped"),
        *((SECOND, "nightly", stage, "succeeded") for stage in ("load", "build", "publish", "extract", *syncs)),
        # the same day again
        *((SECOND, "nightly", stage, "succeeded") for stage in ("load",)),
        *((SECOND, "nightly", stage, "skipped") for stage in ("build", "publish")),
        *((SECOND, "nightly", stage, "succeeded") for stage in ("extract", *syncs)),
        (FIRST, "backfill", "build", "succeeded"),
        # a part of an older date
        (FIRST, "backfill", "build", "failed"),
        *((TODAY, "intraday", stage, "succeeded") for stage in ("load", "build", "publish")),
        # all of it
        (TODAY, "intraday", "load", "succeeded"),
        *((TODAY, "intraday", stage, "skipped") for stage in ("build", "publish", "extract")),
        *((TODAY, "nightly", stage, "succeeded") for stage in ("load", "build", "publish", "extract", *syncs)),
        # all that has no date
        *((TODAY, "nightly", stage, "succeeded") for stage in ("load", "build")),
        (FIRST, "backfill", "build", "succeeded"),
        # blocked, then the sync alone
        *((TODAY, "nightly", stage, "succeeded") for stage in ("load", "build", "publish", *syncs)),
    ]
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        published = con.execute(
            "select as_of::varchar, kind, stage, outcome from marts.pipeline_runs order by started_at"
        )
        assert published.fetchall() == found


# what others see


def test_sqlalchemy_sees_what_every_table_and_column_is(story: Story) -> None:
    """So do Superset and all that is built on it; views too, and whoever asks DuckDB itself."""
    engine = sa.create_engine(f"duckdb:///{story.settings.published_file}", connect_args={"read_only": True})
    look = sa.inspect(engine)
    described = mart_descriptions(read_manifest())
    tables = {*look.get_table_names(schema="marts"), *look.get_view_names(schema="marts")}
    assert tables == described.keys()
    for table in tables:
        assert look.get_table_comment(table, schema="marts")["text"] == described[table].text, table
        columns = {column["name"]: column["comment"] for column in look.get_columns(table, schema="marts")}
        assert columns == described[table].columns, table
    with engine.connect() as con:
        uncommented = sa.text(
            "select table_name, column_name from information_schema.columns "
            "where table_schema = 'marts' and coalesce(column_comment, '') = ''"
        )
        assert con.execute(uncommented).fetchall() == []
    engine.dispose()


def test_the_queries_of_the_docs_can_be_asked(story: Story) -> None:
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        for page in ("docs/BI.md", "README.md"):
            queries = re.findall(r"```sql\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
            assert len(queries) > 4, page
            for query in (part for text in queries for part in con.extract_statements(text)):
                con.execute(query)


def test_every_table_is_in_the_docs(story: Story) -> None:
    for page in ("docs/BI.md", "README.md"):
        rows = re.findall(r"^\| (`.*?) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        assert mart_descriptions(read_manifest()).keys() <= named, page


def test_no_secret_and_no_address_is_in_logs_metadata_errors_and_records(story: Story) -> None:
    """What Dagster keeps of every run, dbt's logs, and the ledger of a provider that knows people by their user_id."""
    settings = story.settings
    values = personal_values(settings.landing, settings.working_file)
    addresses = {value for kind in ("email", "phone") for value in values[kind]}
    assert len(addresses) > 1000
    kept = [path for folder in ("dagster", "logs") for path in (settings.data / folder).rglob("*") if path.is_file()]
    kept = [path for path in [*kept, settings.activation_file] if path.stat().st_size]
    assert len(kept) > 10 and any(bytes_found(path, ["braze_has_all_of_next_cycle"]) for path in kept)
    for path in kept:
        assert not bytes_found(path, {*addresses, BrazeStandIn.environment["BRAZE_KEY"]}), path


def test_no_personal_data_is_published(story: Story) -> None:
    """Every e-mail, phone, name, birth date, address, link and property that landed, and every rejected row."""
    settings = story.settings
    values = personal_values(settings.landing, settings.working_file)
    assert all(len(found) > 10 for found in values.values()), {kind: len(found) for kind, found in values.items()}
    wanted = set().union(*values.values())
    for file in (settings.published_file, settings.backfills / f"{FIRST}.duckdb"):
        words = words_of(file)
        assert not words & wanted, file
        assert not [word for word in words if MARK in word], file
        assert MARK.encode() not in file.read_bytes(), file
        assert not bytes_found(file, wanted), file
    # the same looking finds them where they are; some are written otherwise, or of erased users
    words = words_of(settings.working_file, {"raw"})
    for kind, found in values.items():
        assert len(words & found) > 0.9 * len(found), kind
    assert len([word for word in words if MARK in word]) > 3
    assert len(bytes_found(settings.working_file, wanted)) > 1000
