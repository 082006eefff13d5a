"""Which kind a run is, and what a file remembers of its builds."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.landing.schema import create_raw_schema
from orchestration.settings import ROOT, Settings
from orchestration.warehouse import build_state, project
from orchestration.warehouse.build import (
    BACKFILL,
    INTRADAY,
    NIGHTLY,
    begin,
    begin_upstream,
    build_of,
    clear_half_made,
    finish,
    is_built,
    is_upstream_current,
    kind_of_run,
)
from orchestration.warehouse.dbt import dbt_environment
from orchestration.warehouse.families import published_families
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.prepare import (
    RunContext,
    create_control_schema,
    ledger_fingerprint,
    write_run_context,
)

TODAY = date(2024, 7, 1)
YESTERDAY = date(2024, 6, 30)
MAY = date(2024, 5, 31)


@pytest.mark.parametrize(
    ("as_of", "final_dates", "kind"),
    [
        (YESTERDAY, set(), NIGHTLY),
        (MAY, set(), NIGHTLY),
        (TODAY, set(), INTRADAY),
        (TODAY, {YESTERDAY}, INTRADAY),
        (YESTERDAY, {YESTERDAY}, NIGHTLY),
        (YESTERDAY, {MAY}, NIGHTLY),
        (MAY, {YESTERDAY}, BACKFILL),
        (MAY, {MAY, YESTERDAY}, BACKFILL),
    ],
)
def test_kind_of_run(as_of: date, final_dates: set[date], kind: str) -> None:
    assert kind_of_run(as_of, TODAY, final_dates) == kind


def test_a_date_to_come_is_refused() -> None:
    with pytest.raises(BarometerError, match="2024-07-02 is still to come: today is 2024-07-01"):
        kind_of_run(date(2024, 7, 2), TODAY, set())


@pytest.fixture(autouse=True)
def nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built here by hand has no models to measure."""
    monkeypatch.setattr("orchestration.warehouse.build.measure", lambda con, policy: None)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    build_state.create_history_schema(con)
    create_raw_schema(con)
    create_control_schema(con)
    return con


def test_a_fingerprint_is_there_only_while_the_build_is_whole(con: duckdb.DuckDBPyConnection) -> None:
    assert build_state.stored_fingerprint(con) is None
    build_state.store_fingerprint(con, "one")
    build_state.store_fingerprint(con, "two")
    assert build_state.stored_fingerprint(con) == "two"
    build_state.create_history_schema(con)
    assert build_state.stored_fingerprint(con) == "two"
    build_state.store_fingerprint(con, None)
    assert build_state.stored_fingerprint(con) is None


def test_the_working_file_has_a_fingerprint_of_its_own(con: duckdb.DuckDBPyConnection) -> None:
    build_state.store_fingerprint(con, "of the marts")
    assert build_state.stored_fingerprint(con, build_state.ADDRESSES) is None
    build_state.store_fingerprint(con, "of the addresses", build_state.ADDRESSES)
    assert build_state.stored_fingerprint(con) == "of the marts"


def test_built_dates_hold_each_date_once(con: duckdb.DuckDBPyConnection) -> None:
    for as_of, is_final in ((MAY, True), (YESTERDAY, True), (TODAY, False), (YESTERDAY, True)):
        build_state.add_built_date(con, build_state.BuiltDate(as_of, is_final, datetime(2024, 7, 1)))
    assert build_state.final_dates(con) == {MAY, YESTERDAY}
    assert con.execute("select count(*) from history.built_dates").fetchone() == (3,)
    # the final build takes the place of the day's own
    build_state.add_built_date(con, build_state.BuiltDate(TODAY, True, datetime(2024, 7, 2)))
    assert build_state.final_dates(con) == {MAY, YESTERDAY, TODAY}


def test_run_context_is_one_row(con: duckdb.DuckDBPyConnection) -> None:
    for as_of in (MAY, YESTERDAY):
        write_run_context(con, RunContext(as_of, True, datetime(2024, 7, 1, 2)))
    assert con.execute("select * from control.run_context").fetchall() == [
        (YESTERDAY, TODAY, True, datetime(2024, 7, 1, 2), 0)
    ]


@pytest.mark.parametrize(
    "change",
    [
        "insert into raw.load_files(load_id) values (8)",
        "update raw.load_files set rows_erased = 1",
        "insert into raw.rejected_files(dataset) values ('consents')",
        "update raw.load_files set rows_superseded = 1",
        "insert into raw.phone_numbers(phone) values ('0')",
    ],
)
def test_the_ledger_fingerprint_follows_the_loader(con: duckdb.DuckDBPyConnection, change: str) -> None:
    con.execute("insert into raw.load_files(load_id, rows_erased) values (7, 0)")
    before = ledger_fingerprint(con)
    assert ledger_fingerprint(con) == before
    con.execute(change)
    assert ledger_fingerprint(con) != before


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "landing", tmp_path / "data", YESTERDAY, TODAY, hash_key="a key")
    with open_duckdb(settings.working_file) as con:
        create_raw_schema(con)
        create_control_schema(con)
    return settings


def test_a_build_is_there_only_with_the_addresses_of_its_date(settings: Settings) -> None:
    """A killed run of the next date leaves the addresses of another date in the working file."""
    build = build_of(settings)
    assert not is_built(settings, build)
    with open_duckdb(build.file) as con:
        build_state.create_history_schema(con)
        build_state.store_fingerprint(con, build.fingerprint)
    assert not is_built(settings, build)
    with open_duckdb(settings.working_file) as con:
        build_state.store_fingerprint(con, build.fingerprint, build_state.ADDRESSES)
    assert is_built(settings, build)
    with open_duckdb(settings.working_file) as con:
        build_state.store_fingerprint(con, "of another date", build_state.ADDRESSES)
    assert not is_built(settings, build)


def test_a_backfill_has_a_file_of_its_own(settings: Settings) -> None:
    nightly = build_of(settings)
    with open_duckdb(settings.build_file) as con:
        con.execute("insert into history.built_dates(as_of, is_final) values (?, true)", [YESTERDAY])
    backfill = build_of(Settings(settings.landing, settings.data, MAY, TODAY))
    assert (nightly.kind, nightly.file) == (NIGHTLY, settings.build_file)
    assert (backfill.kind, backfill.file) == (BACKFILL, settings.warehouse / "backfill" / "2024-05-31.duckdb")
    assert backfill.fingerprint != nightly.fingerprint


def test_a_new_hash_key_asks_for_a_new_build_where_ids_are_hashed(settings: Settings) -> None:
    def fingerprint(mode: str, key: str) -> str:
        given = Settings(settings.landing, settings.data, YESTERDAY, TODAY, hash_key=key)
        given.__dict__["policy"] = {**settings.policy, "user_id_is_address": mode}
        return build_of(given).fingerprint

    assert fingerprint("stop", "one") == fingerprint("stop", "two")
    assert fingerprint("hash", "one") != fingerprint("hash", "two")


def test_dbt_sees_the_same_paths_whatever_the_data_folder(tmp_path: Path) -> None:
    """It would parse everything again where they differ."""
    seen = []
    for name in ("one", "two"):
        given = Settings(tmp_path, tmp_path / name, YESTERDAY, TODAY)
        environment = dbt_environment(given, tmp_path / "target")
        seen.append({key: value for key, value in environment.items() if key.startswith("BAROMETER_")})
    assert seen[0] == seen[1]
    assert seen[0]["BAROMETER_WORKING_FILE"] == "working.duckdb"


def test_the_profile_is_the_same_whatever_the_limit_of_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is told not to look for changed files: dbt would find nothing to build where its profile differs."""
    read = set(re.findall(r"env_var\('(\w+)'", (ROOT / "profiles.yml").read_text(encoding="utf-8")))
    assert "BAROMETER_WORKING_FILE" in read
    seen = []
    for limit in ("1GB", "2GB"):
        monkeypatch.setenv("BAROMETER_MEMORY_LIMIT", limit)
        environment = dbt_environment(Settings(tmp_path, tmp_path, YESTERDAY, TODAY), tmp_path / "target")
        assert environment["BAROMETER_MEMORY_LIMIT"] == limit
        seen.append({name: environment.get(name) for name in read})
    assert seen[0] == seen[1]


def put_build_info(con: duckdb.DuckDBPyConnection, as_of: date) -> None:
    con.execute("create schema if not exists marts")
    con.execute(
        "create or replace table marts.build_info as "
        "select ?::date as as_of, true as is_final, now()::timestamp as built_at",
        [as_of],
    )
    # the segment history is written from it
    segments = ", ".join(f"'any' as {family}" for family in published_families())
    con.execute(f"create or replace table marts.user_360 as select 'u1' as user_id, {segments}")


def test_a_backfill_writes_nothing_but_its_file_and_its_date(settings: Settings) -> None:
    with open_duckdb(settings.build_file) as con:
        build_state.create_history_schema(con)
        build_state.add_built_date(con, build_state.BuiltDate(YESTERDAY, True, datetime(2024, 7, 1)))
    older = replace(settings, as_of=MAY)
    build = build_of(older)
    before = settings.working_file.read_bytes()
    begin(older, build, datetime(2024, 7, 1))
    assert not is_built(older, build)
    with open_duckdb(older.scratch_file) as con:
        assert con.execute("select as_of from control.run_context").fetchall() == [(MAY,)]
    with open_duckdb(build.dbt_file) as con:
        put_build_info(con, MAY)
    finish(older, build)
    assert is_built(older, build)
    assert settings.working_file.read_bytes() == before
    assert {path.name for path in older.backfills.iterdir()} == {"2024-05-31.duckdb"}
    with open_duckdb(settings.build_file) as con:
        assert build_state.final_dates(con) == {MAY, YESTERDAY}
        # what is there of yesterday is as it was
        assert con.execute(
            "select count(*) from information_schema.tables where table_schema = 'marts'"
        ).fetchone() == (0,)


def build_all(settings: Settings) -> None:
    """What a nightly run does, dbt apart."""
    build = build_of(settings)
    begin(settings, build, datetime(2024, 7, 1))
    begin_upstream(settings, build, datetime(2024, 7, 1))
    with open_duckdb(build.dbt_file) as con:
        put_build_info(con, settings.as_of)
    finish(settings, build, is_upstream_checked=True)


def is_current(settings: Settings) -> bool:
    return is_upstream_current(settings, build_of(settings))


def test_staging_and_rollups_are_current_until_something_is_loaded(settings: Settings) -> None:
    assert not is_current(settings)
    build_all(settings)
    assert is_current(settings)
    # another date needs nothing new of them
    assert is_current(replace(settings, as_of=TODAY))
    with open_duckdb(settings.working_file) as con:
        con.execute("insert into raw.load_files(load_id) values (1)")
    assert not is_current(settings)


def test_only_a_run_that_checks_rollups_vouches_for_their_keys(settings: Settings) -> None:
    def checked() -> list[tuple[str, int]]:
        with open_duckdb(settings.working_file) as con:
            return con.execute("from control.checked_models").fetchall()

    build_all(settings)
    with open_duckdb(settings.working_file) as con:
        con.execute("insert into control.watermarks values ('int_sessions', 7)")
    build = build_of(settings)
    begin(settings, build, datetime(2024, 7, 1))
    finish(settings, build)
    assert checked() == []
    finish(settings, build, is_upstream_checked=True)
    assert checked() == [("int_sessions", 7)]


def test_a_policy_that_failed_and_was_taken_back_leaves_nothing_of_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_all(settings)
    monkeypatch.setattr(project, "project_fingerprint", lambda: "another policy")
    assert not is_current(settings)
    # a run with it begins, and a check fails
    begin(settings, build_of(settings), datetime(2024, 7, 1))
    begin_upstream(settings, build_of(settings), datetime(2024, 7, 1))
    monkeypatch.undo()
    assert not is_current(settings)
    assert not is_built(settings, build_of(settings))


def test_what_changes_while_dbt_runs_is_not_built(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    build = build_of(settings)
    begin(settings, build, datetime(2024, 7, 1))
    begin_upstream(settings, build, datetime(2024, 7, 1))
    with open_duckdb(build.dbt_file) as con:
        put_build_info(con, settings.as_of)
    monkeypatch.setattr(project, "project_fingerprint", lambda: "edited meanwhile")
    finish(settings, build)
    assert not is_current(settings)


def test_what_a_failed_backfill_left_goes_with_the_next_run(settings: Settings) -> None:
    with open_duckdb(settings.build_file) as con:
        build_state.create_history_schema(con)
        build_state.add_built_date(con, build_state.BuiltDate(YESTERDAY, True, datetime(2024, 7, 1)))
    older = replace(settings, as_of=MAY)
    begin(older, build_of(older), datetime(2024, 7, 1))
    assert older.scratch_file.exists()
    clear_half_made(settings)
    assert list(older.backfills.iterdir()) == []


@pytest.mark.parametrize(("as_of", "left"), [(TODAY, {"known"}), (YESTERDAY, {"known", "erased"})])
def test_whoever_was_erased_leaves_the_plan_that_an_intraday_run_does_not_build(
    settings: Settings, as_of: date, left: set[str]
) -> None:
    settings = replace(settings, as_of=as_of)
    build = build_of(settings)
    begin(settings, build, datetime(2024, 7, 1))
    with open_duckdb(build.dbt_file) as con:
        put_build_info(con, as_of)
        con.execute("create schema intermediate; create schema audiences")
        con.execute("create table intermediate.int_known_users as select 'known' as user_id")
        for table in ("marts.contact_plan", "audiences.aud_ladder_content", "marts.fct_contacts"):
            con.execute(f"create table {table} as select unnest(['known', 'erased']) as user_id")
    finish(settings, build)
    with open_duckdb(build.dbt_file, read_only=True) as con:
        for table in ("marts.contact_plan", "audiences.aud_ladder_content"):
            assert {user for (user,) in con.execute(f"select user_id from {table}").fetchall()} == left, table
        # no table of the plan: dbt has built it
        assert con.execute("select count(*) from marts.fct_contacts").fetchone() == (2,)
