"""What the published file is told after a sync: the records of syncs, without keys, and those of runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.activation.destinations.interface import Outcome
from orchestration.activation.sync.ledger import SET, Ledger, Sending, mark_erased, open_ledger
from orchestration.errors import BarometerError
from orchestration.publish.hashing import keyed_hash
from orchestration.publish.publish import last_sync_published, publish_records
from orchestration.report import pipeline_runs, sync_records
from orchestration.settings import Settings

RUN = {
    **dict.fromkeys(sync_records.COLUMNS["sync_runs"], 1),
    **{"run_id": "r", "audience": "vip", "as_of": "2026-06-30", "started_at": "2026-07-01 03:00:00.000000"},
    **{"seconds": 1.5, "outcome": "partial", "guard": None},
}


class _Told(Settings):
    """Settings whose policy a test has said."""

    mode = "stop"

    @property
    def policy(self) -> Mapping[str, Any]:  # type: ignore[override]
        return {"user_id_is_address": self.mode}


@pytest.fixture
def settings(tmp_path: Path) -> _Told:
    settings = _Told(tmp_path, tmp_path, date(2026, 6, 30), date(2026, 7, 1))
    settings.warehouse.mkdir()
    with duckdb.connect(str(settings.published_file)) as con:
        con.execute("create schema marts; create table marts.rfm as select 'u1' as user_id")
        for table, columns in {"pipeline_runs": pipeline_runs.COLUMNS, **sync_records.COLUMNS}.items():
            con.execute(f"create table marts.{table}({', '.join(f'{n} {t}' for n, t in columns.items())})")
    with open_ledger(settings.activation_file) as con:
        ledger = Ledger(con, "crm")
        there = [Sending("a@example.com", "u1"), Sending("gone@example.com", "u9")]
        ledger.begin_set("vip", "t", "2026-07-01", there, "2026-07-01 03:00:00")
        ledger.finish_list("vip", "2026-07-01 03:00:00")
        new = [Sending("b@example.com", "u1"), Sending("c@example.com", "u2")]
        ledger.begin_set("vip", "t", "2026-07-01", new, "2026-07-01 03:00:01")
        ledger.finish("vip", SET, new, {row.key: Outcome("rejected", "bad_row") for row in new}, "2026-07-01 03:00:02")
        ledger.keep_run({name: value for name, value in RUN.items() if name != "destination"})
    mark_erased(settings.activation_file, ["u9"])
    return settings


def rows(settings: Settings) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(settings.published_file), read_only=True) as con:
        return con.execute("select user_id, status, error from marts.sync_rows order by 1").fetchall()


def test_a_row_a_user_says_what_needs_attention_and_nobody_erased_is_there(settings: _Told) -> None:
    assert last_sync_published(settings.published_file) is None
    assert publish_records(settings) == 3
    assert rows(settings) == [("u1", "rejected", "bad_row"), ("u2", "rejected", "bad_row")]
    assert str(last_sync_published(settings.published_file)) == "2026-07-01 03:00:00"
    assert b"example.com" not in settings.published_file.read_bytes()
    # said again it says the same
    assert publish_records(settings) == 3 and len(rows(settings)) == 2


def test_what_a_tool_has_left_beside_the_file_is_not_read_into_the_new_one(settings: _Told) -> None:
    wal = settings.published_file.with_name("barometer.duckdb.wal")
    wal.write_bytes(b"left by a tool")
    publish_records(settings)
    assert not wal.exists() and len(rows(settings)) == 2


def test_user_ids_are_hashed_where_they_are_to_be_and_never_written_without_a_key(
    settings: _Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Told, "mode", "hash")
    with pytest.raises(BarometerError, match="there is no key"):
        publish_records(settings)
    assert rows(settings) == []
    object.__setattr__(settings, "hash_key", "secret")
    publish_records(settings)
    assert {user for user, *_ in rows(settings)} == {keyed_hash(user, "secret") for user in ("u1", "u2")}


def test_any_user_id_comes_out_as_it_is(settings: _Told) -> None:
    odd = [*"\"',\\;", ' "a ', '""', "two\nlines", "cr\r", "crlf\r\n.", "tab\t", "NULL", "\\N"]
    odd += ["é", "0", "=1+1", "#", "x" * 3000]
    with open_ledger(settings.activation_file) as con:
        sent = [Sending(f"k{number}", user) for number, user in enumerate(odd)]
        Ledger(con, "other").begin_set("vip", "t", None, sent, "2026-07-01 03:00:00")
    publish_records(settings)
    assert sorted(user for user, *_ in rows(settings)) == sorted(["u1", "u2", *odd])
    assert {error for user, _, error in rows(settings) if user in odd} == {None}
