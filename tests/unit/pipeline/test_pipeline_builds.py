"""Which kind a run is, and what a file remembers of its builds."""

from __future__ import annotations

from datetime import date, datetime

import duckdb
import pytest

from orchestration.landing.schema import create_raw_schema
from orchestration.warehouse import build_state
from orchestration.warehouse.prepare import (
    BACKFILL,
    INTRADAY,
    NIGHTLY,
    RunContext,
    create_control_schema,
    kind_of_run,
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
    assert build_state.stored_fingerprint(con, "control") is None
    build_state.store_fingerprint(con, "of the addresses", "control")
    assert build_state.stored_fingerprint(con) == "of the marts"


def test_built_dates_hold_each_date_once(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("create schema marts")
    con.execute("create table marts.build_info(as_of date, is_final boolean, built_at timestamp)")
    for as_of, is_final in ((MAY, True), (YESTERDAY, True), (TODAY, False), (YESTERDAY, True)):
        con.execute("delete from marts.build_info")
        con.execute("insert into marts.build_info values (?, ?, now()::timestamp)", [as_of, is_final])
        build_state.add_built_date(con)
    assert build_state.final_dates(con) == {MAY, YESTERDAY}
    assert con.execute("select count(*) from history.built_dates").fetchone() == (3,)
    # the final build takes the place of the day's own
    con.execute("update marts.build_info set as_of = ?, is_final = true", [TODAY])
    build_state.add_built_date(con)
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
        "insert into raw.touches(load_id) values (7)",
        "insert into raw.phone_numbers(phone) values ('0')",
    ],
)
def test_the_ledger_fingerprint_follows_the_loader(con: duckdb.DuckDBPyConnection, change: str) -> None:
    con.execute("insert into raw.load_files(load_id, rows_erased) values (7, 0)")
    before = ledger_fingerprint(con)
    assert ledger_fingerprint(con) == before
    con.execute(change)
    assert ledger_fingerprint(con) != before
