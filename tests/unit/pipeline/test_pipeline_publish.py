"""Publishing: a checked copy that readers can open under any name, put in place in one step or not at all."""

from __future__ import annotations

import hashlib
import hmac
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.publish.publish import Published, publish, seal
from orchestration.settings import Settings
from orchestration.warehouse import build_state
from orchestration.warehouse.project import Described

MAY, JUNE = date(2024, 5, 31), date(2024, 6, 30)
MARKER = "marker.of.a.person@example.org"

#: Of a table and of a view; a column that a build has not yet is left out.
DESCRIPTIONS = {
    "user_360": Described("One row per user.", {"rfm": "As a map says.", "later": "Comes with the next build."}),
    "user_segments": Described("The users' segments.", {"segment": "The one of the family; that's all."}),
    "later": Described("Comes with the next build.", {}),
}
COMMENTS = {
    ("user_360", None, "One row per user."),
    ("user_360", "rfm", "As a map says."),
    ("user_segments", None, "The users' segments."),
    ("user_segments", "segment", "The one of the family; that's all."),
}


class Warehouse:
    """A build file as dbt leaves it, and the published file beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.build_file = folder / "build.duckdb"
        self.published_file = folder / "barometer.duckdb"

    def build(self, users: list[str], as_of: date = JUNE, is_final: bool = True, fingerprint: str | None = "f") -> None:
        """Build anew, as dbt does: views hold names of three parts."""
        with duckdb.connect(str(self.build_file)) as con:
            build_state.create_history_schema(con)
            for schema in ("marts", "families", "policy"):
                con.execute(f"create schema if not exists {schema}")
            con.execute("create or replace table build.families.fam_engagement(user_id varchar)")
            con.executemany("insert into build.families.fam_engagement values (?)", [[user] for user in users])
            con.execute(
                "create or replace table build.marts.user_360 as "
                "select user_id, 'new' as engagement, 'no_orders' as rfm from build.families.fam_engagement"
            )
            con.execute(
                "create or replace view build.marts.user_segments as\n"
                "select user_id, 'engagement' as family, engagement as segment from build.marts.user_360\n"
                "union all\n"
                "select user_id, 'rfm' as family, rfm as segment from build.marts.user_360"
            )
            con.execute(
                "create or replace table build.marts.fct_contacts as "
                "select 'm-' || row_number() over () as message_id, user_id from build.marts.user_360"
            )
            con.execute(
                "create or replace table build.marts.build_info as "
                "select ?::date as as_of, ?::boolean as is_final, now()::timestamp as built_at",
                [as_of, is_final],
            )
            build_state.add_built_date(con, build_state.built_date(con))
            build_state.store_fingerprint(con, fingerprint)

    def publish(self, as_of: date = JUNE, mode: str = "stop", key: str | None = None, **more: Any) -> Published:
        return publish(self.build_file, self.published_file, as_of, 0.001, mode, key, DESCRIPTIONS, **more)

    def read(self, query: str, file: Path | None = None) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(file or self.published_file), read_only=True) as con:
            return con.execute(query).fetchall()

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


@pytest.fixture
def unchanged(warehouse: Warehouse) -> Callable[[], bool]:
    """Publishes a first build; tells whether that file is still there, to the byte, and nothing half-made beside it."""
    warehouse.build(["first"], fingerprint="first")
    warehouse.publish()
    before = warehouse.published_file.read_bytes(), warehouse.published_file.stat().st_ino

    def check() -> bool:
        now = warehouse.published_file.read_bytes(), warehouse.published_file.stat().st_ino
        return now == before and warehouse.files() == {"build.duckdb", "barometer.duckdb"}

    return check


def comments(warehouse: Warehouse) -> set[tuple[Any, ...]]:
    """What readers are told of tables, views and columns."""
    return set(
        warehouse.read(
            "select table_name, null, comment from duckdb_tables() where comment is not null "
            "union all select view_name, null, comment from duckdb_views() where comment is not null "
            "union all select table_name, column_name, comment from duckdb_columns() where comment is not null"
        )
    )


def test_the_copy_opens_under_any_name(warehouse: Warehouse) -> None:
    warehouse.build(["u1", "u2"])
    published = warehouse.publish()
    assert not published.is_same
    assert published.rows == {"build_info": 1, "fct_contacts": 2, "user_360": 2, "user_segments": 4}
    other = warehouse.folder / "elsewhere" / "of_a_bi_tool.duckdb"
    other.parent.mkdir()
    shutil.copyfile(warehouse.published_file, other)
    warehouse.build_file.unlink()
    for file in (warehouse.published_file, other):
        assert warehouse.read("select user_id, family, segment from marts.user_segments order by all", file) == [
            ("u1", "engagement", "new"),
            ("u1", "rfm", "no_orders"),
            ("u2", "engagement", "new"),
            ("u2", "rfm", "no_orders"),
        ]
    ((view,),) = warehouse.read("select sql from duckdb_views() where schema_name = 'marts'")
    assert "build" not in view
    assert "marts.user_360" in view
    schemas = warehouse.read("select schema_name from duckdb_schemas() where not internal and schema_name <> 'main'")
    assert sorted(schemas) == [("history",), ("marts",)]
    assert comments(warehouse) == COMMENTS


def test_the_same_build_is_published_once(warehouse: Warehouse, unchanged: Callable[[], bool]) -> None:
    assert warehouse.publish().is_same
    assert unchanged()
    warehouse.build(["second"], fingerprint="second")
    assert not warehouse.publish().is_same
    assert warehouse.read("select user_id from marts.user_360") == [("second",)]


def test_a_build_that_is_not_whole_is_not_published(warehouse: Warehouse, unchanged: Callable[[], bool]) -> None:
    warehouse.build(["half"], fingerprint=None)
    with pytest.raises(BarometerError, match="not whole"):
        warehouse.publish()
    assert unchanged()


def test_an_older_final_date_never_replaces_a_newer_one(warehouse: Warehouse, unchanged: Callable[[], bool]) -> None:
    warehouse.build(["older"], MAY, fingerprint="older")
    with pytest.raises(BarometerError, match="2024-06-30, which is later than 2024-05-31"):
        warehouse.publish(MAY)
    assert unchanged()
    warehouse.publish(MAY, is_older_allowed=True)
    assert warehouse.read("select as_of from marts.build_info") == [(MAY,)]
    warehouse.build(["newer"], JUNE, fingerprint="newer")
    warehouse.publish(JUNE)
    assert warehouse.read("select as_of from marts.build_info") == [(JUNE,)]


def test_any_final_build_replaces_one_that_is_not(warehouse: Warehouse) -> None:
    warehouse.build(["today"], JUNE, is_final=False, fingerprint="intraday")
    warehouse.publish(JUNE)
    warehouse.build(["yesterday"], MAY, fingerprint="nightly")
    warehouse.publish(MAY)
    assert warehouse.read("select as_of, is_final from marts.build_info") == [(MAY, True)]


def test_a_failed_check_leaves_what_is_published(warehouse: Warehouse, unchanged: Callable[[], bool]) -> None:
    warehouse.build(["other"], date(2024, 7, 1), fingerprint="of another date")
    with pytest.raises(BarometerError, match="speaks of 2024-07-01, not of 2024-06-30"):
        warehouse.publish(JUNE)
    assert unchanged()


@pytest.mark.parametrize(
    "spoil", ["delete from marts.fct_contacts", "alter table marts.fct_contacts drop column user_id"]
)
def test_a_copy_that_differs_is_not_published(
    warehouse: Warehouse, unchanged: Callable[[], bool], monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    def copy(source: Path, target: Path) -> None:
        target.write_bytes(source.read_bytes())
        with duckdb.connect(str(target)) as con:
            con.execute(spoil)

    warehouse.build(["second"], fingerprint="second")
    monkeypatch.setattr("shutil.copyfile", copy)
    with pytest.raises(BarometerError, match=r"The copy differs from the build in: fct_contacts\."):
        warehouse.publish()
    assert unchanged()


@pytest.mark.parametrize("address", [MARKER, "+33612345678"])
def test_ids_that_look_like_addresses_stop_it(
    warehouse: Warehouse, unchanged: Callable[[], bool], address: str
) -> None:
    warehouse.build([*(f"u{n}" for n in range(99)), address], fingerprint="second")
    with pytest.raises(BarometerError, match="1.0% of the user_ids") as error:
        warehouse.publish()
    assert "user_id_is_address" in error.value.hint
    assert address not in str(error.value)
    assert unchanged()


def test_a_rare_address_or_a_plain_number_stops_nothing(warehouse: Warehouse) -> None:
    warehouse.build([*(str(612345678 + n) for n in range(1999)), MARKER])
    warehouse.publish()
    assert warehouse.read("select count(*) from marts.user_360") == [(2000,)]


def texts(file: Path) -> set[str]:
    """Every text of every table and view of a file."""
    with duckdb.connect(str(file), read_only=True) as con:
        columns = con.execute(
            "select schema_name, table_name, column_name from duckdb_columns() "
            "where not internal and data_type = 'VARCHAR'"
        ).fetchall()
        return {
            value
            for schema, table, column in columns
            for (value,) in con.execute(f'select distinct "{column}" from "{schema}"."{table}"').fetchall()
            if value is not None
        }


def test_hash_mode_leaves_no_trace_of_the_ids(warehouse: Warehouse) -> None:
    users = [f"{n}.{MARKER}" for n in range(3)]
    warehouse.build(users)
    warehouse.publish(mode="hash", key="secret")
    hashed = {hmac.new(b"secret", user.encode(), hashlib.sha256).hexdigest() for user in users}
    for query in ("marts.user_360", "marts.user_segments", "marts.fct_contacts"):
        assert {user for (user,) in warehouse.read(f"select user_id from {query}")} == hashed
    assert not any("@" in text for text in texts(warehouse.published_file))
    assert MARKER.encode() in warehouse.build_file.read_bytes()
    assert MARKER.encode() not in warehouse.published_file.read_bytes()
    assert warehouse.files() == {"build.duckdb", "barometer.duckdb"}
    assert comments(warehouse) == COMMENTS


def test_hash_mode_needs_a_key(warehouse: Warehouse, unchanged: Callable[[], bool]) -> None:
    warehouse.build([MARKER], fingerprint="second")
    with pytest.raises(BarometerError, match="no key") as error:
        warehouse.publish(mode="hash")
    assert "BAROMETER_HASH_KEY" in error.value.hint
    assert unchanged()


def test_a_reader_that_is_open_keeps_its_answers(warehouse: Warehouse) -> None:
    warehouse.build(["first"], fingerprint="first")
    warehouse.publish()
    with duckdb.connect(str(warehouse.published_file), read_only=True) as reader:
        warehouse.build(["second"], fingerprint="second")
        warehouse.publish()
        assert reader.execute("select user_id from marts.user_360").fetchall() == [("first",)]
        assert reader.execute("select distinct user_id from marts.user_segments").fetchall() == [("first",)]
    assert warehouse.read("select user_id from marts.user_360") == [("second",)]


def test_what_a_killed_publication_left_does_no_harm(warehouse: Warehouse) -> None:
    warehouse.build(["u1"])
    for name in (".barometer.duckdb.tmp", ".barometer.duckdb.tmp.wal", ".barometer.duckdb.hashed.tmp"):
        (warehouse.folder / name).write_bytes(b"half a file")
    warehouse.publish()
    assert warehouse.read("select user_id from marts.user_360") == [("u1",)]
    assert warehouse.files() == {"build.duckdb", "barometer.duckdb"}


def test_a_published_file_that_cannot_be_read_is_replaced(warehouse: Warehouse) -> None:
    warehouse.build(["u1"])
    warehouse.published_file.write_bytes(b"no database")
    warehouse.publish()
    assert warehouse.read("select user_id from marts.user_360") == [("u1",)]


# builds that are not published


def settings_for(warehouse: Warehouse, mode: str, key: str | None = None) -> Settings:
    settings = Settings(warehouse.folder, warehouse.folder, MAY, JUNE, hash_key=key)
    settings.__dict__["policy"] = {**settings.policy, "user_id_is_address": mode}
    return settings


def test_a_backfill_opens_under_any_name(warehouse: Warehouse) -> None:
    warehouse.build(["u1", "u2"])
    seal(warehouse.build_file, settings_for(warehouse, "stop"), DESCRIPTIONS)
    renamed = warehouse.build_file.rename(warehouse.folder / "2024-05-31.duckdb")
    assert warehouse.read("select count(*) from marts.user_segments", renamed) == [(4,)]
    assert warehouse.read("select schema_name from duckdb_schemas() where schema_name = 'families'", renamed) == []


def test_a_backfill_holds_no_address_either(warehouse: Warehouse) -> None:
    warehouse.build([MARKER, "u2"])
    with pytest.raises(BarometerError, match=r"50\.0% of the user_ids look like an e-mail address"):
        seal(warehouse.build_file, settings_for(warehouse, "stop"), DESCRIPTIONS)
    with pytest.raises(BarometerError, match="there is no key"):
        seal(warehouse.build_file, settings_for(warehouse, "hash"), DESCRIPTIONS)
    seal(warehouse.build_file, settings_for(warehouse, "hash", "secret"), DESCRIPTIONS)
    assert MARKER.encode() not in warehouse.build_file.read_bytes()
    assert len(warehouse.read("select distinct user_id from marts.user_segments", warehouse.build_file)) == 2


def test_what_a_tool_wrote_beside_the_file_is_no_part_of_the_next_build(warehouse: Warehouse) -> None:
    """A tool that opens the file to write, and is killed, leaves a log that DuckDB would read into the next build."""
    warehouse.build(["old"], fingerprint="old")
    warehouse.publish()
    log = warehouse.published_file.with_name(f"{warehouse.published_file.name}.wal")
    with duckdb.connect(str(warehouse.published_file)) as con:
        con.execute("insert into marts.fct_contacts values ('m-tool', 'tool')")
        left = log.read_bytes()
    log.write_bytes(left)
    warehouse.build(["new"], fingerprint="new")
    warehouse.publish()
    assert warehouse.read("select user_id from marts.fct_contacts") == [("new",)]
    assert warehouse.files() == {"build.duckdb", "barometer.duckdb"}


#: Another process, which says what it sees before the next build is published, while it keeps its connection, and then.
READERS = {
    "duckdb": """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=True)
query = "select string_agg(user_id, ' ' order by user_id) from marts.user_segments"
see = lambda: print(con.sql(query).fetchall(), flush=True)
see(); sys.stdin.readline(); see()
con.close()
con = duckdb.connect(sys.argv[1], read_only=True)
see()
""",
    "sqlalchemy": """
import sqlalchemy, sys
engine = sqlalchemy.create_engine(f"duckdb:///{sys.argv[1]}?access_mode=read_only&duckdb_sqlalchemy_pool=null")
query = sqlalchemy.text("select string_agg(user_id, ' ' order by user_id) from marts.user_segments")
see = lambda con: print([tuple(row) for row in con.execute(query)], flush=True)
with engine.connect() as con:
    see(con); sys.stdin.readline(); see(con)
with engine.connect() as con:
    see(con)
""",
}


@pytest.mark.parametrize("reader", READERS)
def test_another_process_reads_on_and_sees_the_new_build_when_it_connects_again(
    warehouse: Warehouse, reader: str
) -> None:
    """As docs/BI.md says."""
    warehouse.build(["old"], fingerprint="old")
    warehouse.publish()
    with subprocess.Popen(
        [sys.executable, "-c", READERS[reader], str(warehouse.published_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "[('old old',)]\n"
        warehouse.build(["new"], fingerprint="new")
        assert not warehouse.publish().is_same
        process.stdin.write("\n")
        process.stdin.flush()
        assert [process.stdout.readline() for _ in range(2)] == ["[('old old',)]\n", "[('new new',)]\n"]
    assert process.returncode == 0
