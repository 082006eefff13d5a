"""What a run that erases takes out of what earlier runs left."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.activation.files import write_pair
from orchestration.activation.sync import outgoing
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
        con.execute("insert into control.watermarks values ('int_user_orders_daily', 7), ('a model that is gone', 3)")
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
        assert forget.erased_users(con, "UTC") == {}
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


def write_extracts(settings: Settings, name: str, users: list[str]) -> Path:
    """Write the folder of a date as the pipeline does, by hand: one segment and one list."""
    folder = settings.extracts / name
    counts = {}
    with duckdb.connect() as con:
        con.execute("set threads = 1")
        for file in ("engagement/new", "plan/welcome"):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            values = ", ".join(f"('{user}', '=1')" for user in users)
            counts[file] = write_pair(
                con, folder / file, f"from (values {values}) as t(user_id, note)", ["user_id", "note"], "user_id"
            )
    content = {
        "build": "a build",
        "files": {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*.*")
        },
        "segments": {"rows": [["engagement", "new", counts["engagement/new"]]], "vetoed": 0, "held_out": 0},
        "plan_lists": {"rows": {"welcome": counts["plan/welcome"]}, "vetoed": {"welcome": 0}},
    }
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def test_only_what_names_somebody_erased_is_removed(settings: Settings, instance: dg.DagsterInstance) -> None:
    # their plan dates are past; one can't be read
    for name, user in (("2024-06-27", GONE), ("2024-06-28", STAYS), ("2024-06-26", GONE)):
        folder = write_extracts(settings, name, [user])
        with open_duckdb(settings.backfills / f"{name}.duckdb") as backfill:
            backfill.execute("create table users as select ? as user_id", [user])
    (folder / "engagement" / "new.parquet").write_bytes(b"PAR1 cut off")
    (settings.extracts / "archive").mkdir()
    settings.logs.mkdir()
    texts = {
        "a.log": f"'{GONE}' is no number",
        "b.log": "mail to <gone@example.org>",
        "c.log": "fine",
        "d.log": f"This is {GONE}.",
        "e.log": "auth0|gone 77 is no number",
    }
    for name, text in texts.items():
        (settings.logs / name).write_text(text)
    (settings.warehouse / "working.duckdb.broken-1").write_bytes(b"anything")
    with open_duckdb(settings.working_file) as con:
        con.execute("insert into raw.forgetting values ('text', 'auth0|gone 77', null)")
    forget.forget_everywhere(settings, instance)
    assert {path.name for path in settings.extracts.iterdir()} == {"2024-06-28", "archive"}
    assert {path.name for path in settings.backfills.iterdir()} == {"2024-06-28.duckdb"}
    assert {path.name for path in settings.logs.iterdir()} == {"c.log"}
    assert not list(settings.warehouse.glob("*.broken-*"))


def test_rows_that_killed_syncs_left_go_where_nobody_is_sending(
    settings: Settings, instance: dg.DagsterInstance
) -> None:
    places = [".here.winback.tmp", ".at_work.winback.tmp", "bucket/.winback.tmp", "bucket/.sorting.tmp"]
    for place in places:
        (settings.data / "outgoing" / place).mkdir(parents=True)
        (settings.data / "outgoing" / place / "rows").write_text(f"{GONE},{STAYS}")
    with outgoing.alone(settings, "at_work"):
        forget.forget_everywhere(settings, instance)
    left = [path.relative_to(settings.data).as_posix() for path in settings.data.rglob("rows")]
    assert left == ["outgoing/.at_work.winback.tmp/rows"]


def test_extracts_that_may_still_be_sent_are_written_anew(settings: Settings, instance: dg.DagsterInstance) -> None:
    folder = write_extracts(settings, str(JUNE), [GONE, STAYS, "third"])
    forget.forget_everywhere(settings, instance)
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")} == {
        "manifest.json", "engagement/new.csv", "engagement/new.parquet", "plan/welcome.csv", "plan/welcome.parquet",
    }  # fmt: skip
    # as if it had been written so, and sound
    assert (folder / "plan" / "welcome.csv").read_text() == f"user_id,note\n{STAYS},'=1\nthird,'=1\n"
    rows = duckdb.sql(f"from read_parquet('{folder}/engagement/new.parquet')").fetchall()
    assert rows == [(STAYS, "=1"), ("third", "=1")]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["segments"]["rows"] == [["engagement", "new", 2]]
    assert manifest["plan_lists"]["rows"] == {"welcome": 2}
    for name, digest in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    assert not holds(folder / "plan" / "welcome.csv", GONE)


@pytest.mark.parametrize("has_come_back", [True, False])
def test_planned_contacts_are_written_anew_without_whom_was_erased(settings: Settings, has_come_back: bool) -> None:
    folder = settings.planned_contacts
    with open_duckdb(settings.working_file) as con:
        con.execute("set threads = 1")
        for plan_date in (JUNE, JULY):
            rows = " union all ".join(
                f"select date '{plan_date}' as plan_date, '{user}' as user_id, 'c' as campaign_id, 'a' as audience, "
                "'email' as channel, null as variant, 'marketing' as message_class, null as holdout_kind"
                for user in (GONE, STAYS)
            )
            planned.add_planned(con, folder, plan_date, rows)
        if has_come_back:
            con.execute("insert into raw.returned_users values (?, 'a hash')", [GONE])
        # the request may have come late, after contacts were planned; whoever came back is planned with anew
        assert planned.forget(con, folder) == (1 if has_come_back else 2)
        planned.load_planned(con, folder)
        found = con.execute("select plan_date, user_id from raw.planned_contacts order by all").fetchall()
        assert found == [(JUNE, STAYS), *([(JULY, GONE)] if has_come_back else []), (JULY, STAYS)]
        # a run that was killed before the old file went does it again
        assert planned.forget(con, folder) == 0


def test_a_date_of_which_nothing_is_left_has_no_file(settings: Settings) -> None:
    with open_duckdb(settings.working_file) as con:
        con.execute("set threads = 1")
        planned.add_planned(
            con, settings.planned_contacts, JUNE,
            f"select date '{JUNE}' as plan_date, '{GONE}' as user_id, 'c' as campaign_id, 'a' as audience, "
            "'email' as channel, null as variant, 'marketing' as message_class, null as holdout_kind",
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
