"""The store of planned contacts: what is in its files, and what of them is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.landing.schema import create_raw_schema
from orchestration.settings import Settings
from orchestration.warehouse import build_state, planned
from orchestration.warehouse.build import begin, begin_upstream, build_of, is_built
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.planned import add_planned, load_planned, names, refuse_unloaded
from orchestration.warehouse.prepare import create_control_schema
from orchestration.warehouse.running_tests import ShareFrom, current_tests, record_tests

JULY_1, JULY_2, JULY_3 = date(2024, 7, 1), date(2024, 7, 2), date(2024, 7, 3)
#: User, campaign, audience, channel, variant.
Contact = tuple[str, str, str, str, str | None]
ANN: Contact = ("ann", "win_back", "win_back", "email", None)
BEN: Contact = ("ben", "win_back", "win_back", "push", "offer")
CARL: Contact = ("carl", "news", "category_news", "email", None)


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    create_raw_schema(con)
    return con


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "data" / "planned_contacts"


def add(con: duckdb.DuckDBPyConnection, store: Path, plan_date: date, *contacts: Contact) -> int:
    con.execute(
        "create or replace table contacts(plan_date date, user_id varchar, campaign_id varchar, audience varchar, "
        "channel varchar, variant varchar, message_class varchar)"
    )
    for contact in contacts:
        con.execute("insert into contacts values (?, ?, ?, ?, ?, ?, 'marketing')", [plan_date, *contact])
    return add_planned(con, store, plan_date, "from contacts")


def loaded(con: duckdb.DuckDBPyConnection) -> list[tuple[date, str]]:
    return con.execute("select plan_date, user_id from raw.planned_contacts order by all").fetchall()


def contents(store: Path) -> dict[str, bytes]:
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


# writing


def test_a_file_holds_the_rows_in_a_total_order(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    assert add(con, store, JULY_1, CARL, BEN, ANN) == 3
    (name,) = names(store)
    found = con.execute(f"from read_parquet('{store / name}')")
    assert tuple(column[0] for column in found.description or []) == planned.COLUMNS
    assert found.fetchall() == [(JULY_1, *contact, "marketing") for contact in (ANN, BEN, CARL)]


def test_the_same_rows_are_the_same_bytes_under_the_same_name(
    con: duckdb.DuckDBPyConnection, store: Path, tmp_path: Path
) -> None:
    add(con, store, JULY_1, ANN, BEN, CARL)
    add(con, tmp_path / "again", JULY_1, CARL, ANN, BEN)
    assert contents(store) == contents(tmp_path / "again")


def test_a_second_time_writes_nothing(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN, BEN)
    before = contents(store)
    assert add(con, store, JULY_1, BEN, ANN) == 0
    assert contents(store) == before


def test_a_second_list_of_a_date_adds_what_is_new(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    # another channel is another contact, another variant is not
    assert add(con, store, JULY_1, ("ann", "win_back", "win_back", "email", "offer"), BEN) == 1
    assert add(con, store, JULY_1, ("ann", "win_back", "win_back", "sms", None)) == 1
    load_planned(con, store)
    assert len(names(store)) == 3
    assert con.execute("select user_id, channel, variant from raw.planned_contacts order by all").fetchall() == [
        ("ann", "email", None),
        ("ann", "sms", None),
        ("ben", "push", "offer"),
    ]


def test_another_date_is_another_contact(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    assert add(con, store, JULY_1, ANN) == 1
    assert add(con, store, JULY_2, ANN) == 1
    assert names(store) == sorted(
        names(store, JULY_1) + [name for name in names(store) if name.startswith("2024-07-02")]
    )


def test_without_rows_there_is_no_file_and_no_folder(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    assert add(con, store, JULY_1) == 0
    assert not store.exists()
    assert names(store) == []


def test_only_the_owner_may_read(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    for path in [store, *store.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_a_run_that_is_killed_while_it_writes_leaves_nothing_that_counts(
    con: duckdb.DuckDBPyConnection, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(planned, "_digest", killed)
        with pytest.raises(KeyboardInterrupt):
            add(con, store, JULY_1, ANN)
    assert [path.name for path in (store / "2024-07-01").iterdir()] == [".new.tmp"]
    assert names(store) == []
    load_planned(con, store)
    assert loaded(con) == []
    assert add(con, store, JULY_1, BEN) == 1
    load_planned(con, store)
    assert loaded(con) == [(JULY_1, "ben")]
    assert len(contents(store)) == 1


def test_a_file_is_on_the_disk_before_it_has_its_name(
    con: duckdb.DuckDBPyConnection, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(planned, "fsync", lambda path: seen.append((path.name, names(store))))
    add(con, store, JULY_1, ANN)
    (name,) = names(store)
    # the folders that are new, in the folders above them; then the file; then its name
    assert [path for path, _ in seen] == [
        store.parent.parent.name,
        "data",
        "planned_contacts",
        ".new.tmp",
        "2024-07-01",
    ]
    assert [found for _, found in seen[-2:]] == [[], [name]]


# loading


def test_only_new_files_are_read(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    load_planned(con, store)
    (name,) = names(store)
    assert con.execute("select file from raw.planned_contacts").fetchall() == [(name,)]
    # what is loaded is not read again
    (store / name).write_bytes(b"broken since")
    load_planned(con, store)
    add(con, store, JULY_2, BEN)
    load_planned(con, store)
    assert loaded(con) == [(JULY_1, "ann"), (JULY_2, "ben")]


def test_rows_of_files_that_are_gone_go(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    add(con, store, JULY_2, BEN)
    load_planned(con, store)
    shutil.rmtree(store / "2024-07-01")
    load_planned(con, store)
    assert loaded(con) == [(JULY_2, "ben")]
    # ... and are written again where a list carries them
    assert add(con, store, JULY_1, ANN) == 1
    load_planned(con, store)
    assert loaded(con) == [(JULY_1, "ann"), (JULY_2, "ben")]
    shutil.rmtree(store)
    load_planned(con, store)
    assert loaded(con) == []


def break_content(path: Path) -> None:
    path.write_bytes(b"no parquet")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def make_unreadable(path: Path) -> None:
    path.unlink()
    path.mkdir()


def rename(path: Path) -> None:
    path.rename(path.with_name("copy.parquet"))


def give_another_date(path: Path) -> None:
    path.parent.rename(path.parent.with_name("2024-07-04"))


def rename_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("2024-07-02 (copy)"))


def name_a_file_like_its_content(path: Path) -> None:
    path.write_bytes(b"no parquet")
    path.rename(path.with_name(f"{planned._digest(path)}.parquet"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (break_content, "not as it was written"),
        (cut_off, "not as it was written"),
        (make_unreadable, "can't be read"),
        (name_a_file_like_its_content, "can't be read"),
        (rename, "copy.parquet has no name"),
        (give_another_date, "of another date than its folder"),
        (rename_folder, "is no folder of a plan date"),
    ],
)
def test_what_cannot_be_read_stops_and_is_never_left_out(
    con: duckdb.DuckDBPyConnection, store: Path, change: Callable[[Path], None], said: str
) -> None:
    add(con, store, JULY_1, ANN)
    load_planned(con, store)
    add(con, store, JULY_2, BEN)
    add(con, store, JULY_3, CARL)
    change(store / names(store)[1])
    with pytest.raises(BarometerError, match=r"planned_contacts/2024-07-0[24]") as error:
        load_planned(con, store)
    assert said in error.value.message
    assert error.value.hint
    # and nothing of the others is loaded
    assert loaded(con) == [(JULY_1, "ann")]


def test_a_broken_file_of_its_date_stops_a_list(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    break_content(store / names(store)[0])
    with pytest.raises(BarometerError, match="not as it was written"):
        add(con, store, JULY_1, ANN, BEN)
    assert add(con, store, JULY_2, ANN, BEN) == 2


def test_a_file_in_place_of_the_folder_is_said(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    store.parent.mkdir()
    store.write_text("")
    with pytest.raises(BarometerError, match="planned_contacts can't be read"):
        load_planned(con, store)


def test_other_files_and_hidden_ones_are_left_alone(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    before = names(store)
    for name in (".DS_Store", ".2024-07-05/x.parquet", "2024-07-01/tests.json", "2024-07-01/.x.parquet"):
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_text("{}")
    assert names(store) == before
    load_planned(con, store)
    assert loaded(con) == [(JULY_1, "ann")]


# the builds that read it


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "landing", tmp_path / "data", JULY_1, JULY_2)
    with open_duckdb(settings.working_file) as con:
        create_raw_schema(con)
        create_control_schema(con)
    return settings


def add_to(settings: Settings, plan_date: date, *contacts: Contact) -> None:
    with duckdb.connect(config={"threads": 1}) as con:
        add(con, settings.planned_contacts, plan_date, *contacts)


def test_a_build_follows_from_what_was_planned_before_its_plan_date(settings: Settings) -> None:
    first = build_of(settings)
    # the lists of the build itself: a second run of it finds nothing to do
    add_to(settings, JULY_2, ANN)
    assert build_of(settings) == first
    add_to(settings, JULY_1, ANN)
    second = build_of(settings)
    assert second.fingerprint != first.fingerprint
    # staging and rollups don't know of it
    assert second.upstream == first.upstream
    assert build_of(replace(settings, as_of=JULY_2)).fingerprint != second.fingerprint


def test_what_a_list_of_yesterday_carried_makes_a_build_of_today_stale(settings: Settings) -> None:
    build = build_of(settings)
    for file, table in ((build.file, build_state.BUILD), (settings.working_file, build_state.ADDRESSES)):
        with open_duckdb(file) as con:
            build_state.create_history_schema(con)
            build_state.store_fingerprint(con, build.fingerprint, table)
    assert is_built(settings, build_of(settings))
    add_to(settings, JULY_1, ANN)
    assert not is_built(settings, build_of(settings))


def test_planned_contacts_are_loaded_before_dbt_starts(settings: Settings) -> None:
    """Those of the plan date too: a plan that is made again keeps whom it carried."""
    add_to(settings, JULY_1, ANN)
    add_to(settings, JULY_2, BEN)
    # where staging is current, dbt is asked for the models of a date alone; the same function begins that
    begin(settings, build_of(settings), datetime(2024, 7, 2))
    with open_duckdb(settings.working_file, read_only=True) as con:
        assert loaded(con) == [(JULY_1, "ann"), (JULY_2, "ben")]


def test_a_build_does_not_begin_on_planned_contacts_that_cannot_be_read(settings: Settings) -> None:
    add_to(settings, JULY_1, ANN)
    break_content(settings.planned_contacts / names(settings.planned_contacts)[0])
    with open_duckdb(settings.working_file) as con:
        build_state.store_fingerprint(con, "of another build", build_state.ADDRESSES)
    with pytest.raises(BarometerError, match="not as it was written"):
        begin(settings, build_of(settings), datetime(2024, 7, 2))
    # what is there stays what it is
    with open_duckdb(settings.working_file) as con:
        assert build_state.stored_fingerprint(con, build_state.ADDRESSES) == "of another build"


def test_a_nightly_build_does_not_begin_on_a_test_that_was_changed(settings: Settings) -> None:
    other = replace(current_tests(), universal=(ShareFrom(date(2024, 1, 1), "another", Decimal("0.5")),))
    record_tests(settings.planned_contacts, JULY_1, other, [])
    with pytest.raises(BarometerError, match="universal holdout of 2024-07-01"):
        begin(settings, build_of(settings), datetime(2024, 7, 2))
    # today's build has no plan, and a plan of a day before the record is no business of the test
    for as_of in (JULY_2, date(2024, 6, 29)):
        other_date = replace(settings, as_of=as_of)
        begin(other_date, build_of(other_date), datetime(2024, 7, 2))


def test_a_backfill_reads_what_is_loaded_or_stops(settings: Settings) -> None:
    add_to(settings, JULY_1, ANN)
    add_to(settings, JULY_3, ANN)
    with open_duckdb(settings.working_file) as con:
        load_planned(con, settings.planned_contacts)
    with open_duckdb(settings.build_file) as con:
        build_state.create_history_schema(con)
        build_state.add_built_date(con, build_state.BuiltDate(JULY_2, True, datetime(2024, 7, 3)))
    begin_upstream(settings, build_of(settings), datetime(2024, 7, 3))
    before = settings.working_file.read_bytes()
    # a later list is none of its business
    add_to(settings, JULY_3, BEN)
    begin(settings, build_of(settings), datetime(2024, 7, 3))
    assert settings.working_file.read_bytes() == before
    add_to(settings, JULY_2, BEN)
    with pytest.raises(BarometerError, match="are others than those that were loaded"):
        begin(settings, build_of(settings), datetime(2024, 7, 3))


def test_a_file_that_is_gone_is_one_that_is_not_loaded(con: duckdb.DuckDBPyConnection, store: Path) -> None:
    add(con, store, JULY_1, ANN)
    add(con, store, JULY_2, BEN)
    load_planned(con, store)
    shutil.rmtree(store / "2024-07-02")
    refuse_unloaded(con, store, JULY_1)
    with pytest.raises(BarometerError):
        refuse_unloaded(con, store, JULY_2)
