"""Who may not be sent by all that is loaded now, of what is at providers and of what is about to go there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations.files import Files
from orchestration.activation.destinations.interface import SEGMENTS
from orchestration.activation.sync.ledger import Ledger, Sending, open_ledger
from orchestration.activation.sync.vetoes import keep_vetoes
from orchestration.activation.to_destinations import list_file

CONFIG = DestinationConfig(
    "crm",
    Files,
    {},
    ("email", "push"),
    "mirror",
    tuple(TargetConfig(audience, (("variant", "variant"),)) for audience in ("winback", "receipt", SEGMENTS)),
)
TABLES = """
    attach ':memory:' as build;
    create schema intermediate;
    create schema policy;
    create table policy.do_not_contact(user_id varchar);
    create schema build.marts;
    create table build.marts.audience_catalog as
        select * from (values ('winback', 'marketing'), ('receipt', 'transactional')) as t(audience, message_class);
    create table intermediate.int_channel_permissions as select * from (values
        ('both', 'email', true, false), ('both', 'push', true, false), ('both', 'sms', true, false),
        ('one', 'email', true, false), ('one', 'sms', true, false),
        ('none', 'email', false, false), ('kept', 'email', true, false)
    ) as t(user_id, channel, has_consent, is_suppressed);
    create table intermediate.int_channel_vetoes(
        user_id varchar, channel varchar, reason varchar, blocks_service boolean
    );
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute(TABLES)
        yield con


def _extract(con: duckdb.DuckDBPyConnection, folder: Path, audience: str, rows: str) -> None:
    file = list_file(folder, "crm", audience)
    file.parent.mkdir(parents=True, exist_ok=True)
    con.execute(f"copy (select * from (values {rows}) as t(user_id, _channel)) to '{file}' (format parquet)")


def _vetoed(con: duckdb.DuckDBPyConnection, folder: Path) -> dict[str, set[str]]:
    with open_ledger(folder / "a.sqlite") as ledger:
        keep_vetoes(con, ledger, [CONFIG], folder, folder)
        return {target.audience: Ledger(ledger, "crm").vetoed(target.audience) for target in CONFIG.targets}


def test_a_plan_row_is_vetoed_on_its_channel_alone(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _extract(con, tmp_path, "winback", "('both', 'email'), ('one', 'email'), ('kept', 'email')")
    con.execute("insert into intermediate.int_channel_vetoes values ('both', 'push', 'no_consent', false)")
    assert _vetoed(con, tmp_path)["winback"] == set()
    con.execute("insert into intermediate.int_channel_vetoes values ('both', 'email', 'no_consent', false)")
    assert _vetoed(con, tmp_path)["winback"] == {"both"}
    con.execute("delete from intermediate.int_channel_vetoes")
    assert _vetoed(con, tmp_path)["winback"] == set(), "a later grant ends it"


def test_a_receipt_goes_out_unless_the_veto_blocks_service(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _extract(con, tmp_path, "receipt", "('both', 'email'), ('one', 'email')")
    con.execute(
        "insert into intermediate.int_channel_vetoes values ('both', 'email', 'suppressed', false), "
        "('one', 'email', 'suppressed', true)"
    )
    assert _vetoed(con, tmp_path)["receipt"] == {"one"}


def test_segments_are_vetoed_when_no_channel_that_the_destination_serves_is_left(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    _extract(con, tmp_path, SEGMENTS, "('both', null), ('one', null), ('kept', null)")
    con.execute(
        "insert into intermediate.int_channel_vetoes values ('both', 'email', 'no_consent', false), "
        "('one', 'email', 'erased', true)"
    )
    # sms would be left for both, but the destination does not serve it
    assert _vetoed(con, tmp_path)[SEGMENTS] == {"one"}


def test_what_is_at_the_provider_is_looked_at_without_an_extract(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with open_ledger(tmp_path / "a.sqlite") as ledger:
        of_crm = Ledger(ledger, "crm")
        of_crm.begin_set("winback", "t", "2026-07-01", [Sending("both", "both", "push")], "now")
        of_crm.begin_set(SEGMENTS, "t", None, [Sending("one", "one")], "now")
    con.execute(
        "insert into intermediate.int_channel_vetoes values ('both', 'push', 'no_consent', true), "
        "('one', 'email', 'no_consent', false)"
    )
    assert _vetoed(con, tmp_path) == {"winback": {"both"}, SEGMENTS: {"one"}, "receipt": set()}
