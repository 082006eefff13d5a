"""The Parquet file of each target: who is in it, which columns it has, and that it is the same file twice."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations import KINDS
from orchestration.activation.destinations.interface import SEGMENTS
from orchestration.activation.to_destinations import DestinationLists, list_file, write_lists

PLAN_NAMES = (
    ("plan_date", "vip_plan_date"),
    ("channel", "vip_channel"),
    ("variant", "vip_variant"),
    ("send_from", "vip_from"),
)
TABLES = """
    attach ':memory:' as build;
    create schema build.marts;
    create schema policy;
    create table policy.channels(channel varchar, address_kind varchar);
    insert into policy.channels values ('email', 'email'), ('sms', 'phone'), ('push', 'device');

    create temp table plan_rows(
        plan_date date, user_id varchar, channel varchar, address varchar, campaign_id varchar, variant varchar,
        message_class varchar, audience varchar, timezone varchar, send_from time, send_until time, is_vetoed boolean);
    insert into plan_rows
    select '2026-06-11', u, c, a, 'spring', v, 'marketing', audience, 'Europe/Berlin', '08:00', '20:00', vetoed
    from (values
        ('u3', 'email', ' Cy@Example.com ', 'a', 'vip', false),
        ('u1', 'email', 'ann@example.com', 'b', 'vip', false),
        ('u2', 'sms', '+4915100000002', null, 'vip', false),
        ('u4', 'push', 'device-4', 'a', 'vip', false),
        ('u5', 'email', 'eve@example.com', 'a', 'vip', true),
        ('u6', 'email', 'ann@example.com', 'a', 'vip', false),
        ('u7', 'email', 'gus@example.com', 'a', 'late', false)
    ) as rows(u, c, a, v, audience, vetoed);

    create temp table members(
        user_id varchar, channel varchar, address varchar, is_vetoed boolean, is_held_out boolean);
    insert into members values
        ('u1', 'email', 'ann@example.com', false, false), ('u1', 'sms', '+4915100000001', false, false),
        ('u2', 'sms', '+4915100000002', false, false), ('u3', 'email', 'cy@example.com', false, true),
        ('u4', 'push', 'device-4', false, false), ('u5', 'email', 'eve@example.com', true, false),
        ('u5', 'sms', '+4915100000005', false, false), ('u6', 'email', 'ann@example.com', false, false);

    create table build.marts.user_360(
        user_id varchar, rfm varchar, orders bigint, spent decimal(18, 2), is_new boolean, first_seen date,
        interests varchar[]);
    insert into build.marts.user_360
    select 'u' || n, case when n = 1 then null else 'loyal' end, n, n + 0.5, n = 1, '2026-01-02',
        case when n = 1 then ['shoes', 'hats'] when n = 6 then [] end
    from range(1, 8) as numbers(n);

    create table build.marts.contact_pressure(user_id varchar, as_of date, next_eligible_date date);
    insert into build.marts.contact_pressure values
        ('u1', '2026-06-10', '2026-06-12'), ('u2', '2026-06-10', '2026-06-11'), ('u6', '2026-06-10', null);
    create table build.marts.contact_pressure_by_channel(user_id varchar, channel varchar, headroom integer);
    insert into build.marts.contact_pressure_by_channel values ('u1', 'email', 2), ('u1', 'sms', 0), ('u6', 'email', 1);
    create table build.marts.audience_catalog(audience varchar, candidates bigint);
    insert into build.marts.audience_catalog values ('vip', 40), ('late', 1);
"""


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(config={"threads": 1}) as con:
        con.execute(TABLES)
        yield con


def destination(
    kind: str, channels: tuple[str, ...], *targets: TargetConfig, addresses: tuple[str, ...] = ()
) -> DestinationConfig:
    return DestinationConfig("crm", KINDS[kind], {"addresses": addresses}, channels, "mirror", targets)


def vip(*attributes: tuple[str, str]) -> TargetConfig:
    return TargetConfig("vip", attributes or (("variant", "vip_variant"),))


def segments(*attributes: tuple[str, str]) -> TargetConfig:
    return TargetConfig(SEGMENTS, attributes or (("rfm", "rfm"),))


def written(
    con: duckdb.DuckDBPyConnection, folder: Path, config: DestinationConfig
) -> tuple[DestinationLists, list[dict[str, Any]]]:
    """Write the lists of a destination; return what is said of them and the rows of its first target."""
    folder.mkdir(exist_ok=True)
    lists = write_lists(con, folder, [config])
    found = con.execute(
        "from read_parquet(?, hive_partitioning = false)",
        [str(list_file(folder, "crm", config.targets[0].audience))],
    )
    names = [name for name, *_ in found.description]
    return lists, [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def test_a_plan_list_has_the_channels_of_the_destination_and_what_is_mapped(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lists, rows = written(con, tmp_path, destination("klaviyo", ("email", "sms"), vip(*PLAN_NAMES)))
    every = {"vip_plan_date": "2026-06-11", "vip_from": "08:00:00"}
    email = {"_channel": "email", "phone": None, "vip_channel": "email", **every}
    assert rows == [
        {"key": "u1", "user_id": "u1", "email": "ann@example.com", "vip_variant": "b", **email},
        {
            "key": "u2",
            "user_id": "u2",
            "_channel": "sms",
            "email": None,
            "phone": "+4915100000002",
            "vip_channel": "sms",
            "vip_variant": None,
            **every,
        },
        {"key": "u3", "user_id": "u3", "email": "cy@example.com", "vip_variant": "a", **email},
        {"key": "u6", "user_id": "u6", "email": "ann@example.com", "vip_variant": "a", **email},
    ]
    where = ("crm", "vip")
    assert (lists.rows[where], lists.shared_key[where], lists.candidates[where]) == (4, 0, 40)


def test_only_addresses_that_the_destination_asks_for_are_in_it(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    _, rows = written(con, tmp_path / "none", destination("batch", ("email", "sms"), vip()))
    assert list(rows[0]) == ["key", "user_id", "_channel", "vip_variant"]
    _, rows = written(con, tmp_path / "phone", destination("webhook", ("email", "sms"), vip(), addresses=("phone",)))
    assert [row["phone"] for row in rows] == [None, "+4915100000002", None, None]
    assert "email" not in rows[0] and "@" not in str(rows)


def test_an_address_that_is_the_key_is_had_by_one_and_the_others_are_counted(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    lists, rows = written(con, tmp_path, destination("sendgrid", ("email", "sms", "push"), vip(), segments()))
    assert [(row["key"], row["user_id"]) for row in rows] == [("ann@example.com", "u1"), ("cy@example.com", "u3")]
    assert lists.shared_key == {("crm", "vip"): 1, ("crm", SEGMENTS): 1}
    assert lists.rows == {("crm", "vip"): 2, ("crm", SEGMENTS): 1}


def test_a_user_with_two_messages_of_an_audience_has_one_row_and_always_the_same(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    con.execute("insert into plan_rows select * replace ('summer' as campaign_id, 'z' as variant) from plan_rows")
    config = destination("batch", ("email",), vip())
    lists, rows = written(con, tmp_path / "first", config)
    assert [(row["key"], row["vip_variant"]) for row in rows] == [("u1", "b"), ("u3", "a"), ("u6", "a")]
    assert lists.shared_key[("crm", "vip")] == 3
    con.execute("create or replace temp table plan_rows as from plan_rows order by variant desc")
    assert written(con, tmp_path / "second", config)[1] == rows


def test_segments_are_of_those_whom_marketing_reaches_on_the_channels(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    mapped = segments(
        ("rfm", "RFM"),
        ("orders", "orders"),
        ("spent", "spent"),
        ("is_new", "is_new"),
        ("first_seen", "first_seen"),
        ("interests", "interests"),
        ("headroom_email", "left_email"),
        ("headroom_sms", "left_sms"),
        ("next_eligible_date", "next"),
    )
    lists, rows = written(con, tmp_path, destination("brevo", ("email", "sms"), mapped))
    # u3 is held out, u4 has no such channel, the e-mail of u5 is vetoed
    assert [(row["key"], row["email"], row["phone"]) for row in rows] == [
        ("u1", "ann@example.com", "+4915100000001"),
        ("u2", None, "+4915100000002"),
        ("u5", None, "+4915100000005"),
        ("u6", "ann@example.com", None),
    ]
    attributes = [[row[name] for name in mapped.names] for row in rows]
    assert attributes[0] == [None, 1, 1.5, True, "2026-01-02", "shoes|hats", 2, 0, "2026-06-12"]
    # who may be contacted on the plan date is held back by nothing
    assert attributes[1] == ["loyal", 2, 2.5, False, "2026-01-02", None, None, None, None]
    # nobody's interests are none, and no empty text; a cap of 0 is never
    assert attributes[3] == ["loyal", 6, 6.5, False, "2026-01-02", None, 1, None, "9999-12-31"]
    assert {row["_channel"] for row in rows} == {None}
    assert lists.candidates == lists.rows == {("crm", SEGMENTS): 4}


def test_names_at_the_provider_may_be_those_of_other_columns(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    names = vip(("variant", "channel"), ("campaign_id", "audience"), ("timezone", "is_vetoed"), ("channel", "address"))
    _, rows = written(con, tmp_path, destination("klaviyo", ("email", "sms"), names))
    assert [(row["key"], row["channel"], row["address"], row["email"]) for row in rows] == [
        ("u1", "b", "email", "ann@example.com"),
        ("u2", None, "sms", None),
        ("u3", "a", "email", "cy@example.com"),
        ("u6", "a", "email", "ann@example.com"),
    ]
    assert {(row["audience"], row["is_vetoed"]) for row in rows} == {("spring", "Europe/Berlin")}


def test_an_audience_without_anybody_is_a_file_without_rows(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lists, rows = written(con, tmp_path, destination("webhook", ("push",), TargetConfig("late", PLAN_NAMES)))
    assert rows == [] and lists.rows == {("crm", "late"): 0} and lists.candidates == {("crm", "late"): 1}


def test_the_same_rows_are_the_same_bytes_for_their_owner_only(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    config = destination("klaviyo", ("email", "sms"), vip(*PLAN_NAMES), segments())
    sums = []
    for name in ("first", "second"):
        written(con, tmp_path / name, config)
        con.execute("create or replace temp table plan_rows as from plan_rows order by user_id desc")
        con.execute("create or replace temp table members as from members order by user_id desc")
        files = sorted((tmp_path / name).rglob("*.parquet"))
        assert [file.stem for file in files] == [SEGMENTS, "vip"]
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert {file.parent.stat().st_mode & 0o777 for file in files} == {0o700}
        sums.append([hashlib.sha256(file.read_bytes()).hexdigest() for file in files])
    assert sums[0] == sums[1]


def test_nothing_is_written_for_nobody(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    assert write_lists(con, tmp_path, []) == DestinationLists()
    assert list(tmp_path.iterdir()) == []
