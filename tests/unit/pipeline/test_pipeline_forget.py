"""What a run that erases takes out of what earlier runs left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.landing.schema import create_raw_schema, layout
from orchestration.settings import Settings
from orchestration.warehouse import forget, planned
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.prepare import check_facts, create_control_schema

JUNE, JULY = date(2024, 6, 30), date(2024, 7, 1)
GONE, STAYS = "somebody-who-is-gone", "somebody-who-stays"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A data folder in which somebody is still to be forgotten, with the bytes of the deleted row in both files."""
    settings = Settings(tmp_path / "landing", tmp_path / "data", JUNE, JULY)
    for file in (settings.working_file, settings.build_file):
        with open_duckdb(file) as con:
            con.execute("create schema marts; create table marts.users(user_id varchar)")
            con.execute("insert into marts.users values (?), (?)", [GONE, STAYS])
            con.execute("checkpoint; create view marts.all_users as select * from marts.users")
            con.execute("comment on table marts.users is 'who is known'")
            con.execute("delete from marts.users where user_id = ?", [GONE])
    with open_duckdb(settings.working_file) as con:
        create_raw_schema(con)
        create_control_schema(con)
        con.execute("insert into control.watermarks values ('a model', 7)")
        con.execute("insert into raw.touches(load_id, user_id) values (7, ?), (8, 'not yet seen')", [GONE])
        con.execute(
            "insert into raw.forgetting values ('user', ?, ?), ('text', 'gone@example.org', null)", [GONE, JUNE]
        )
    return settings


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def holds(file: Path, text: str) -> bool:
    return text.encode() in file.read_bytes()


def test_both_files_are_rewritten_and_nothing_is_left_to_forget(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    assert holds(settings.build_file, GONE)
    assert holds(settings.working_file, GONE)
    forget.forget_everywhere(settings, instance)
    for file in (settings.build_file, settings.working_file):
        assert not holds(file, GONE)
        assert holds(file, STAYS)
        assert file.stat().st_mode & 0o777 == 0o600
        with open_duckdb(file) as con:
            assert con.execute("from marts.all_users").fetchall() == [(STAYS,)]
            assert con.execute(
                "select comment from duckdb_tables() where table_name = 'users' and schema_name = 'marts'"
            ).fetchall() == [("who is known",)]
    with open_duckdb(settings.working_file) as con:
        assert con.execute("select user_id from raw.touches").fetchall() == [("not yet seen",)]
        assert forget.erased_users(con) == {}
    # there is nothing to do any more
    before = [file.stat().st_ino for file in (settings.build_file, settings.working_file)]
    forget.forget_everywhere(settings, instance)
    assert [file.stat().st_ino for file in (settings.build_file, settings.working_file)] == before


@pytest.mark.parametrize("dies_at", ["build.duckdb", "working.duckdb"])
def test_what_is_interrupted_is_done_by_the_next_run(
    settings: Settings, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    rewrite = forget.rewrite

    def dying(file: Path) -> None:
        if file.name == dies_at:
            raise KeyboardInterrupt
        rewrite(file)

    monkeypatch.setattr(forget, "rewrite", dying)
    with pytest.raises(KeyboardInterrupt):
        forget.forget_everywhere(settings, instance)
    monkeypatch.setattr(forget, "rewrite", rewrite)
    forget.forget_everywhere(settings, instance)
    assert not holds(settings.build_file, GONE)
    assert not holds(settings.working_file, GONE)


def test_without_room_for_a_copy_the_file_stays_as_it_was(settings: Settings) -> None:
    # a folder in the place of the copy is as good as a full disk
    (settings.warehouse / ".build.duckdb.fresh.tmp.wal").mkdir()
    (settings.warehouse / ".build.duckdb.fresh.tmp").write_bytes(b"")
    with open_duckdb(settings.build_file):
        before = settings.build_file.read_bytes()
    with pytest.raises((BarometerError, OSError)):
        forget.rewrite(settings.build_file)
    assert settings.build_file.read_bytes() == before


def test_only_what_names_somebody_erased_is_removed(settings: Settings, instance: dg.DagsterInstance) -> None:
    with duckdb.connect() as con:
        for name, user in (("2024-06-28", GONE), ("2024-06-29", STAYS)):
            folder = settings.extracts / name / "plan"
            folder.mkdir(parents=True)
            con.execute(f"copy (select '{user}' as user_id) to '{folder}/list.parquet' (format parquet)")
            (folder / "list.csv").write_text(f"user_id\n{user}\n")
            with open_duckdb(settings.backfills / f"{name}.duckdb") as backfill:
                backfill.execute("create table users as select ? as user_id", [user])
    settings.logs.mkdir()
    for name, text in (("a.log", f"'{GONE}' is no number"), ("b.log", "mail to <gone@example.org>"), ("c.log", "fine")):
        (settings.logs / name).write_text(text)
    forget.forget_everywhere(settings, instance)
    assert {path.name for path in settings.extracts.iterdir()} == {"2024-06-29"}
    assert {path.name for path in settings.backfills.iterdir()} == {"2024-06-29.duckdb"}
    assert {path.name for path in settings.logs.iterdir()} == {"c.log"}


def test_planned_contacts_are_written_anew_without_whom_was_erased(settings: Settings) -> None:
    folder = settings.planned_contacts
    with open_duckdb(settings.working_file) as con:
        con.execute("set threads = 1")
        for plan_date in (JUNE, JULY):
            rows = " union all ".join(
                f"select date '{plan_date}' as plan_date, '{user}' as user_id, 'c' as campaign_id, 'a' as audience, "
                "'email' as channel, null as variant, 'marketing' as message_class"
                for user in ((GONE, STAYS) if plan_date == JUNE else (GONE,))
            )
            planned.add_planned(con, folder, plan_date, rows)
        before = planned.names(folder)
        assert planned.forget(con, folder) == 1
        after = planned.names(folder)
        # what is planned for a date after the request is for whoever came back
        assert [name for name in after if name.startswith(str(JULY))] == [
            name for name in before if name.startswith(str(JULY))
        ]
        planned.load_planned(con, folder)
        assert con.execute("select plan_date, user_id from raw.planned_contacts order by all").fetchall() == [
            (JUNE, STAYS),
            (JULY, GONE),
        ]
        # a run that was killed before the old file went does it again
        assert planned.forget(con, folder) == 0


def test_a_date_of_which_nothing_is_left_has_no_file(settings: Settings) -> None:
    with open_duckdb(settings.working_file) as con:
        con.execute("set threads = 1")
        planned.add_planned(
            con, settings.planned_contacts, JUNE,
            f"select date '{JUNE}' as plan_date, '{GONE}' as user_id, 'c' as campaign_id, 'a' as audience, "
            "'email' as channel, null as variant, 'marketing' as message_class",
        )  # fmt: skip
        assert planned.forget(con, settings.planned_contacts) == 1
        assert planned.names(settings.planned_contacts) == []


def test_a_warehouse_of_an_older_layout_is_refused(settings: Settings) -> None:
    with open_duckdb(settings.working_file) as con:
        check_facts(con, {"rows": "files of your own"})
        check_facts(con, {"rows": "files of your own"})
        with pytest.raises(BarometerError, match="layout = that of an older version") as error:
            check_facts(con, {"rows": "files of your own", "layout": layout()})
    assert "loads everything anew" in str(error.value.hint)
