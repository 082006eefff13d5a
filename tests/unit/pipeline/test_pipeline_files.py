"""DuckDB files appear whole, and errors of the machine say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration.errors import BarometerError, hint_of_machine
from orchestration.settings import ROOT
from orchestration.warehouse.files import MEMORY_LIMIT, attach_fresh, open_duckdb
from orchestration.warehouse.forget import rewrite


def test_a_file_that_was_not_finished_does_not_stand_in_the_way(tmp_path: Path) -> None:
    file = tmp_path / "working.duckdb"
    # as a run leaves it that is killed while DuckDB writes its first blocks
    (tmp_path / ".working.duckdb.tmp").write_bytes(b"half a header")
    with open_duckdb(file) as con:
        con.execute("create table t as select 1 as i")
    with open_duckdb(file, read_only=True) as con:
        assert con.execute("from t").fetchall() == [(1,)]
    assert [path.name for path in tmp_path.iterdir()] == ["working.duckdb"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_files_can_be_read_by_duckdb_1_3(tmp_path: Path) -> None:
    file = tmp_path / "working.duckdb"
    with open_duckdb(file) as con:
        con.execute("create table t as select 1 as i")
    rewrite(file)
    with open_duckdb(file) as con, duckdb.connect() as copy:
        attach_fresh(copy, tmp_path / "fresh.duckdb")
        versions = [
            one.execute("select tags from duckdb_databases() where path is not null").fetchall() for one in (con, copy)
        ]
    assert versions == [[({"storage_version": "v1.3.0+"},)]] * 2
    assert "storage format of DuckDB 1.3" in (ROOT / "docs" / "BI.md").read_text(encoding="utf-8")


def test_dbt_alone_merges_row_groups(tmp_path: Path) -> None:
    outputs = yaml.safe_load((ROOT / "profiles.yml").read_text(encoding="utf-8"))["barometer"]["outputs"]
    assert outputs["duckdb"]["settings"]["max_vacuum_tasks"] == 1
    with open_duckdb(tmp_path / "working.duckdb") as con:
        assert con.execute("select current_setting('max_vacuum_tasks')").fetchone() == (0,)


def test_a_file_that_cannot_be_opened_names_doctor(tmp_path: Path) -> None:
    file = tmp_path / "working.duckdb"
    file.write_bytes(b"no database" * 1000)
    with pytest.raises(BarometerError, match=r"working.duckdb can't be opened") as error, open_duckdb(file):
        pass
    assert "make doctor ARGS=--fix" in error.value.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(28, "No space left on device"), "Make room"),
        (sqlite3.OperationalError("database or disk is full"), "Make room"),
        (PermissionError(13, "Permission denied", "/landing"), "right to read the landing folder"),
        (OSError(30, "Read-only file system"), "to write to BAROMETER_DATA"),
        (sqlite3.DatabaseError("database disk image is malformed"), "--fix"),
        (duckdb.IOException("IO Error: Corrupt database file: computed checksum 1"), "--fix"),
    ],
)
def test_errors_of_the_machine_say_what_to_do(error: Exception, words: str) -> None:
    assert words in (hint_of_machine(f"{type(error).__name__}: {error}") or "")
    assert hint_of_machine("ValueError: something else") is None


def test_memory_is_limited_to_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MEMORY_LIMIT, "1GiB")
    with open_duckdb(tmp_path / "limited.duckdb") as con:
        assert con.execute("select current_setting('memory_limit')").fetchone() == ("1.0 GiB",)
    monkeypatch.setenv(MEMORY_LIMIT, "plenty")
    with pytest.raises(BarometerError, match="no amount of memory"), open_duckdb(tmp_path / "limited.duckdb"):
        pass
