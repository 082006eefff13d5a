"""Who is in the segment extracts, on small hand-made worlds, and what their files are like."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.activation.assets import metadata_of
from orchestration.activation.extracts import Extracts, raise_if_blocked
from orchestration.activation.segments import FAMILIES
from orchestration.errors import BarometerError
from tests import compiled_sql
from tests.integration.people import (
    AS_OF,
    EXTRACTED_MODELS,
    LATER,
    LATEST,
    T1,
    T2,
    T3,
    Row,
    address,
    bounced,
    erased,
    granted,
    named,
    put_plan,
    reacted,
    uninstalled,
    unreadable_consent,
    user,
    withdrawn,
    write,
    write_all,
)

MODELS = [*EXTRACTED_MODELS, "extract_blocks"]


@dataclass(frozen=True)
class Case:
    """A few people, and who of them is in the extracts, with which address."""

    rows: list[Row | list[Row]]
    #: User -> address on the channel of the case.
    reached: dict[str, str] = field(default_factory=dict)
    channel: str = "email"
    #: Rows (user, channel) that the veto takes out, on all channels.
    vetoed: int = 0
    #: Files of the case that somebody acknowledges.
    acknowledged: tuple[tuple[str, int | None], ...] = ()


A = {"%a": "%a@example.org"}
#: Two users with one mailbox, written differently, and consents of both.
SHARED = [user(), user("%b", email=" %A@Example.org "), granted(), granted(user_id="%b")]


def phones(last: str) -> list[Row | list[Row]]:
    """Two users with one telephone, written differently, and consents of both."""
    return [
        user(phone=f"+33 6 12 34 56 {last}", country="fr"),
        user("%b", phone=f"06.12.34.56.{last}", country="FR"),
        granted(channel="sms"),
        granted(channel="sms", user_id="%b"),
    ]


TOKEN = [user(), granted(channel="push"), address("%token", T1)]

CASES: dict[str, Case] = {
    # consent
    "granted": Case([user(), granted()], A),
    "no_consent": Case([user()]),
    "withdrawn": Case([user(), granted(), withdrawn()]),
    "withdrawn_on_another_channel": Case([user(), granted(), withdrawn(channel="sms")], A),
    "granted_again": Case([user(), granted(T1), withdrawn(T2), granted(T3)], A),
    "granted_before_withdrawn": Case([user(), withdrawn(T1), granted(T1)]),
    "granted_after_as_of": Case([user(), granted(LATER)]),
    "not_yet_a_user": Case([user(created_at=LATER), granted()]),
    "in_app_needs_no_consent": Case([user()], {"%a": "%a"}, "in_app"),
    "in_app_takes_a_no": Case([user(), withdrawn(channel="in_app")], {}, "in_app"),
    "in_app_takes_a_yes_again": Case(
        [user(), withdrawn(channel="in_app"), granted(T3, "in_app")], {"%a": "%a"}, "in_app"
    ),
    # suppression
    "complained": Case([user(), granted(), reacted("complained", T2), granted(T3)]),
    "complained_on_another_channel": Case([user(), granted(), reacted("complained", T2, "push")], A),
    "unsubscribed": Case([user(), granted(), reacted("unsubscribed", T2)]),
    "unsubscribed_then_granted": Case([user(), granted(), reacted("unsubscribed", T2), granted(T3)], A),
    "unsubscribed_when_granted": Case([user(), granted(), reacted("unsubscribed", T2), granted(T2)]),
    "unsubscribed_from_in_app": Case([user(), reacted("unsubscribed", T2, "in_app")], {}, "in_app"),
    "bounced_hard": Case([user(), granted(), bounced(T2), granted(T3)]),
    "bounced_softly": Case([user(), granted(), bounced(T2, bounce_type="soft")], A),
    "bounced_hard_in_app": Case([user(), bounced(T2, "in_app")], {}, "in_app"),
    "bounced_then_new_profile": Case(
        [user(), user(email="%new@example.org", updated_at=T3), granted(), bounced(T2)], {"%a": "%new@example.org"}
    ),
    "bounced_then_same_address": Case([user(), user(email="%A@EXAMPLE.org", updated_at=T3), granted(), bounced(T2)]),
    "bounced_then_new_address": Case(
        [
            user(email=None),
            granted(),
            address("%old@example.org", T1, "email"),
            bounced(T2),
            address("%new@example.org", T3, "email"),
        ],
        {"%a": "%new@example.org"},
    ),
    "bounced_and_declared_invalid_that_day": Case(
        [
            user(),
            granted(),
            address("%other@example.org", T1, "email"),
            bounced(T2),
            address("%other@example.org", T2.replace("T10", "T12"), "email", status="invalid"),
        ],
        A,
    ),
    # addresses
    "no_address": Case([user(email=None), granted()]),
    "not_an_address": Case([user(email="nobody"), granted()]),
    "address_before_profile": Case(
        [user(), granted(), address("%other@example.org", T1, "email")], {"%a": "%other@example.org"}
    ),
    "invalid_however_written": Case([user(), granted(), address("%A@Example.org", T1, "email", status="invalid")]),
    "invalid_then_active": Case(
        [
            user(email=None),
            granted(),
            address("%x@example.org", T1, "email", status="invalid"),
            address("%X@example.org", T2, "email"),
        ],
        {"%a": "%X@example.org"},
    ),
    "latest_token": Case([*TOKEN, address("%newer", T2)], {"%a": "%newer"}, "push"),
    "token_of_later": Case([*TOKEN, address("%newer", LATER)], {"%a": "%token"}, "push"),
    "uninstalled": Case([*TOKEN, uninstalled(T2)], {}, "push"),
    "uninstalled_at_that_time": Case([*TOKEN, uninstalled(T1)], {}, "push"),
    "installed_again": Case([*TOKEN, uninstalled(T2), address("%newer", T3)], {"%a": "%newer"}, "push"),
    "installed_again_after_as_of": Case([*TOKEN, uninstalled(T2), address("%newer", LATER)], {}, "push"),
    "uninstalled_but_web_push": Case(
        [user(), granted(channel="web_push"), address("%token", T1, "web_push"), uninstalled(T2)],
        {"%a": "%token"},
        "web_push",
    ),
    "phone_without_a_country": Case([user(phone="06 12 34 56 79"), granted(channel="sms")], {}, "sms"),
    "phone_with_a_strange_country": Case(
        [user(phone="+33612345680", country="France"), granted(channel="sms")], {"%a": "+33612345680"}, "sms"
    ),
    # a person is an address
    "shared": Case(SHARED, {"%a": "%a@example.org", "%b": "%A@Example.org"}),
    "shared_withdrawn": Case([*SHARED, withdrawn(user_id="%b")]),
    "shared_withdrawn_then_granted": Case([*SHARED, withdrawn(user_id="%b"), granted(T3)], A),
    "shared_complained": Case([*SHARED, reacted("complained", T2, user_id="%b"), granted(T3)]),
    "shared_unsubscribed": Case([*SHARED, reacted("unsubscribed", T2, user_id="%b")]),
    "shared_bounced": Case([*SHARED, bounced(T2, user_id="%b")]),
    "shared_no_longer": Case(
        [*SHARED, user("%b", email="%b@example.org", updated_at=T2), withdrawn(T3, user_id="%b")], A
    ),
    "shared_phone": Case(phones("70"), {"%a": "+33612345670", "%b": "+33612345670"}, "sms"),
    "shared_phone_withdrawn": Case([*phones("71"), withdrawn(channel="sms", user_id="%b")], {}, "sms"),
    "shared_phone_complained": Case([*phones("72"), reacted("complained", T2, "sms", "%b")], {}, "sms"),
    "shared_phone_bounced": Case([*phones("73"), bounced(T2, "sms", "%b")], {}, "sms"),
    "shared_phone_of_an_address": Case(
        [*phones("74"), address("0612345674", T2, "sms"), withdrawn(channel="sms", user_id="%b")], {}, "sms"
    ),
    "shared_token_complained": Case(
        [*TOKEN, user("%b"), address("%token", T2, user_id="%b"), reacted("complained", T2, "push", "%b")], {}, "push"
    ),
    # rejected consents stand for a withdrawal
    "rejected": Case([user(), granted(), unreadable_consent()]),
    "rejected_then_granted": Case([user(), granted(T3), unreadable_consent()], A),
    "rejected_on_another_channel": Case([user(), granted(), unreadable_consent(channel="sms")], A),
    "rejected_of_no_channel": Case([user(), granted(), unreadable_consent(channel="carrier pigeon")]),
    "rejected_of_no_channel_in_app": Case([user(), unreadable_consent(channel=None)], {}, "in_app"),
    "rejected_and_acknowledged": Case(
        [user(), granted(), unreadable_consent("%.jsonl")], acknowledged=(("%.jsonl", 1),)
    ),
    "rejected_undated": Case([user(), granted(T3), unreadable_consent("%.jsonl", occurred_at="soon")]),
    "rejected_undated_acknowledged": Case(
        [user(), granted(T3), unreadable_consent("%.jsonl", occurred_at="soon")], A, acknowledged=(("%.jsonl", 1),)
    ),
    "rejected_undated_file_acknowledged": Case(
        [user(), granted(T3), unreadable_consent("%.jsonl", occurred_at="soon")], A, acknowledged=(("%.jsonl", None),)
    ),
    "rejected_undated_other_row_acknowledged": Case(
        [user(), granted(T3), unreadable_consent("%.jsonl", occurred_at="soon")], acknowledged=(("%.jsonl", 2),)
    ),
    # erasure
    "erased": Case([user(), granted(), erased(T2)]),
    "erased_and_back": Case([user(created_at=T3), granted(T1), reacted("complained", T1), erased(T2), granted(T3)], A),
    "erased_and_back_without_consent": Case([user(created_at=T3), granted(T1), erased(T2)]),
    # the veto: what is loaded of the days after as_of takes out and never adds
    "later_withdrawn": Case([user(), granted(), withdrawn(LATER)], vetoed=1),
    "later_unsubscribed": Case([user(), granted(), reacted("unsubscribed", LATER)], vetoed=1),
    "later_complained": Case([user(), granted(), reacted("complained", LATER), granted(LATEST)], vetoed=1),
    "later_bounced": Case([user(), granted(), bounced(LATER)], vetoed=1),
    "later_erased": Case([user(), granted(), erased(LATER)]),
    "later_rejected": Case([user(), granted(), unreadable_consent(occurred_at=LATER)], vetoed=1),
    "later_in_app": Case([user(), withdrawn(LATER, "in_app")], {}, "in_app", vetoed=1),
    "later_ended": Case([user(), granted(), withdrawn(LATER), granted(LATEST)], A),
    "later_shared": Case([*SHARED, withdrawn(LATER, user_id="%b")], vetoed=2),
    "later_shared_since": Case(
        [
            user(),
            user("%b"),
            granted(),
            granted(user_id="%b"),
            user("%b", email="%a@example.org", updated_at=LATER),
            withdrawn(LATEST, user_id="%b"),
        ],
        vetoed=2,
    ),
    "later_adds_nobody": Case([user(), granted(), reacted("unsubscribed", T2), granted(LATER)]),
}


def acknowledgement(landing: Path, file: str, row_number: int | None) -> dict[str, Any]:
    digest = hashlib.sha256((landing / file).read_bytes()).hexdigest()
    return {"dataset": file.split("/")[0], "file_sha256": digest, "row_number": row_number, "note": "looked at"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def extract(
    compiled: compiled_sql.Compiled, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[Extracts, compiled_sql.World]]:
    """Loads a landing folder, builds it and writes its extracts."""

    def run(landing: Path, seeds: dict[str, Any] | None = None) -> tuple[Extracts, compiled_sql.World]:
        world = compiled_sql.World(compiled.only(MODELS), seeds)
        world.load(landing)
        world.build(AS_OF)
        put_plan(world, [])
        return write_all(world, tmp_path_factory.mktemp("data")), world

    return run


def people(folder: Path, family: str) -> set[tuple[str, str, str]]:
    found = duckdb.sql(f"select user_id, channel, address from '{folder}/{family}/*.parquet'").fetchall()
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture(scope="module")
def all_cases(
    extract: Callable[..., tuple[Extracts, compiled_sql.World]], tmp_path_factory: pytest.TempPathFactory
) -> Extracts:
    """The extracts of all cases together: nobody of one case shares anything with another."""
    landing = tmp_path_factory.mktemp("landing")
    acknowledged = []
    for name, case in CASES.items():
        write(landing, case.rows, name)
    for name, case in CASES.items():
        acknowledged += [
            acknowledgement(landing, f"consents/{named(file, name)}", row) for file, row in case.acknowledged
        ]
    result, _ = extract(landing, {"acknowledged_rejects": acknowledged})
    return result


@pytest.mark.parametrize("name", CASES)
def test_who_is_reached(all_cases: Extracts, name: str) -> None:
    case = CASES[name]
    for family in FAMILIES:
        found = {
            user_id: address
            for user_id, channel, address in people(all_cases.folder, family)
            if user_id.startswith(f"{name}.") and channel == case.channel
        }
        assert found == {named(user_id, name): named(address, name) for user_id, address in case.reached.items()}


def test_vetoed_rows_are_counted(all_cases: Extracts) -> None:
    assert all_cases.segments.vetoed == sum(case.vetoed for case in CASES.values())


# what stops every extract

BLOCKING = {
    "erasures/rejected.jsonl": '{"user_id": "u1", "requested_at": "when?"}\n{"user_id": "u2"}\n',
    "erasures/broken.parquet": "no parquet",
    "consents/nobody.jsonl": '{"channel": "email", "status": "withdrawn", "occurred_at": "2024-02-01"}\n',
    "consents/broken.csv.gz": "no gzip",
    "message_events/broken.parquet": "no parquet",
}
HARMLESS = {
    "consents/somebody.jsonl": '{"user_id": "u1", "channel": "email", "status": "what", "occurred_at": "2024-02-01"}\n',
    "message_events/rejected.jsonl": '{"event_id": "e1", "event": "opened", "occurred_at": "2024-02-01"}\n',
    "orders/broken.parquet": "no parquet",
    "orders/rejected.jsonl": '{"order_id": "o1"}\n',
}
ALL_BLOCKS = {
    ("erasures/rejected.jsonl", 1),
    ("erasures/rejected.jsonl", 2),
    ("erasures/broken.parquet", None),
    ("consents/nobody.jsonl", 1),
    ("consents/broken.csv.gz", None),
    ("message_events/broken.parquet", None),
}


@pytest.fixture
def blocked(compiled: compiled_sql.Compiled, tmp_path: Path) -> Callable[..., compiled_sql.World]:
    """A world with everything that blocks, some of it acknowledged."""

    def run(*acknowledged: tuple[str, int | None]) -> compiled_sql.World:
        for name, content in {**BLOCKING, **HARMLESS}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        seeds = {"acknowledged_rejects": [acknowledgement(tmp_path, *of) for of in acknowledged]}
        world = compiled_sql.World(compiled.only(["extract_blocks"]), seeds)
        world.load(tmp_path)
        world.build(AS_OF)
        return world

    return run


def blocks(world: compiled_sql.World) -> set[tuple[str, int | None]]:
    return {(row["file"], row["row_number"]) for row in world.rows("extract_blocks")}


def test_everything_that_may_hide_a_wish_blocks(blocked: Callable[..., compiled_sql.World]) -> None:
    world = blocked()
    assert blocks(world) == ALL_BLOCKS
    with pytest.raises(BarometerError) as error:
        raise_if_blocked(world.con)
    assert "6 rejected rows or files" in error.value.message
    assert "erasures/rejected.jsonl, row 2 (missing_requested_at)" in error.value.message
    assert hashlib.sha256(b"no gzip").hexdigest() in error.value.message
    assert "acknowledged_rejects.csv" in error.value.hint


def test_a_row_lifts_only_what_it_names(blocked: Callable[..., compiled_sql.World]) -> None:
    lifted: set[tuple[str, int | None]] = {("erasures/rejected.jsonl", 2), ("consents/broken.csv.gz", None)}
    assert blocks(blocked(*lifted)) == ALL_BLOCKS - lifted


def test_a_whole_file_lifts_its_rows_and_a_row_no_file(blocked: Callable[..., compiled_sql.World]) -> None:
    world = blocked(("erasures/rejected.jsonl", None), ("erasures/broken.parquet", 1), ("consents/nobody.jsonl", 2))
    assert blocks(world) == ALL_BLOCKS - {("erasures/rejected.jsonl", 1), ("erasures/rejected.jsonl", 2)}


def test_everything_acknowledged_blocks_no_more(blocked: Callable[..., compiled_sql.World]) -> None:
    raise_if_blocked(blocked(*ALL_BLOCKS).con)


# the files

FORMULAS = {
    "=1+1": "'=1+1",
    "+cmd|' /C calc'!A0": "'+cmd|' /C calc'!A0",
    "-2+3": "'-2+3",
    "@sum": "'@sum",
    "|x": "'|x",
    "%x": "'%x",
    "＝1": "'＝1",
    "-5": "-5",
    "+4.5": "+4.5",
    "4=5": "4=5",
    'quote"comma,': 'quote"comma,',
}


@pytest.fixture(scope="module")
def files(
    extract: Callable[..., tuple[Extracts, compiled_sql.World]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The extracts of people whose ids a spreadsheet would run, and those of a second build from other files."""
    landing, again = tmp_path_factory.mktemp("landing"), tmp_path_factory.mktemp("landing")
    rows: list[Row | list[Row]] = []
    for user_id in FORMULAS:
        rows += [user(user_id, email=None, phone="+33612345678"), granted(channel="sms", user_id=user_id)]
    write(landing, rows)
    write(again, rows[::-1])
    return extract(landing)[0].folder, extract(again)[0].folder


def tables(folder: Path) -> list[Path]:
    return sorted(
        path.relative_to(folder).with_suffix("") for family in FAMILIES for path in (folder / family).glob("*.csv")
    )


def read(folder: Path, table: Path) -> tuple[list[list[str]], list[tuple[str, ...]], list[str]]:
    """The rows of the CSV file, those of the Parquet file, and its columns."""
    with (folder / table.with_suffix(".csv")).open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    assert header == ["user_id", "channel", "address"]
    parquet = duckdb.sql(f"select * from '{folder / table.with_suffix('.parquet')}'")
    return rows, parquet.fetchall(), parquet.columns


def test_every_segment_has_its_files_even_if_empty(files: tuple[Path, Path]) -> None:
    folder, _ = files
    assert {path.parts[0] for path in tables(folder)} == set(FAMILIES)
    assert Path("engagement/never_seen") in tables(folder)
    assert Path("rfm/champions") in tables(folder)
    assert sum(bool(read(folder, table)[1]) for table in tables(folder)) == 2


def test_cells_are_no_formulas_and_numbers_stay(files: tuple[Path, Path]) -> None:
    folder, _ = files
    rows, _, _ = read(folder, Path("engagement/never_seen"))
    on_sms = {user_id: address for user_id, channel, address in rows if channel == "sms"}
    assert set(on_sms) == set(FORMULAS.values())
    assert set(on_sms.values()) == {"+33612345678"}


def test_csv_and_parquet_hold_the_same_rows_in_one_order_and_nothing_else(files: tuple[Path, Path]) -> None:
    folder, _ = files
    for table in tables(folder):
        rows, parquet, columns = read(folder, table)
        assert columns == ["user_id", "channel", "address"]
        assert parquet == sorted(parquet)
        assert len({row[:2] for row in parquet}) == len(parquet)
        assert [[cell.removeprefix("'") for cell in row] for row in rows] == [list(row) for row in parquet]


def test_a_second_build_writes_the_same_bytes(files: tuple[Path, Path]) -> None:
    first, second = files
    for table in tables(first):
        for suffix in (".csv", ".parquet"):
            assert (first / table.with_suffix(suffix)).read_bytes() == (second / table.with_suffix(suffix)).read_bytes()
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()


def test_only_the_owner_may_read(files: tuple[Path, Path]) -> None:
    folder, _ = files
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_the_same_build_is_written_once_and_a_spoilt_one_again(
    extract: Callable[..., tuple[Extracts, compiled_sql.World]], tmp_path: Path
) -> None:
    write(tmp_path / "landing", [user("u1"), granted(user_id="u1")])
    _, world = extract(tmp_path / "landing")
    first = write_all(world, tmp_path)
    assert not first.is_same
    again = write_all(world, tmp_path)
    assert again.is_same
    assert (again.segments, again.plan_lists) == (first.segments, first.plan_lists)
    (first.folder / "engagement" / "never_seen.csv").write_text("user_id,channel,address\n")
    # ... and what a killed run left behind, addresses of another date too, goes with it
    for name in (".2024-06-30.tmp", ".2024-06-30.old", ".2024-05-31.tmp"):
        (tmp_path / "extracts" / name / "engagement").mkdir(parents=True)
    assert not write_all(world, tmp_path).is_same
    assert sorted(path.name for path in (tmp_path / "extracts").iterdir()) == ["2024-06-30"]
    assert not write_all(world, tmp_path, "another build").is_same


def test_the_universal_holdout_is_in_no_segment(
    extract: Callable[..., tuple[Extracts, compiled_sql.World]], tmp_path: Path
) -> None:
    users = [f"u{n:02}" for n in range(40)]
    rows: list[Row | list[Row]] = []
    for user_id in users:
        rows += [user(user_id), granted(user_id=user_id)]
    write(tmp_path / "landing", rows)
    write(tmp_path / "vetoed", [*rows, *(withdrawn(LATER, user_id=user_id) for user_id in users)])
    seeds = {"universal_holdout": [{"valid_from": AS_OF.replace(day=1), "salt": "june", "share": 0.5}]}
    # RULES: the first 8 hex digits of md5(purpose|salt|user_id), of 2^32
    digests = {user_id: hashlib.md5(f"universal|june|{user_id}".encode()).hexdigest() for user_id in users}
    held_out = {user_id for user_id, digest in digests.items() if int(digest[:8], 16) < 2**31}
    assert 5 < len(held_out) < 35
    result, _ = extract(tmp_path / "landing", seeds)
    for family in FAMILIES:
        assert {user_id for user_id, _, _ in people(result.folder, family)} == set(users) - held_out
    # on two channels: e-mail, and in_app, which needs no consent
    assert (result.segments.vetoed, result.segments.held_out) == (0, 2 * len(held_out))
    assert metadata_of(result)["universal_holdout"] == 2 * len(held_out)
    # who is vetoed is counted as that
    result, _ = extract(tmp_path / "vetoed", seeds)
    assert (result.segments.vetoed, result.segments.held_out) == (40, len(held_out))


def test_whoever_is_not_to_be_contacted_is_in_no_segment(
    extract: Callable[..., tuple[Extracts, compiled_sql.World]], tmp_path: Path
) -> None:
    write(tmp_path / "landing", [row for user_id in ("u1", "u2") for row in (user(user_id), granted(user_id=user_id))])
    result, _ = extract(tmp_path / "landing", {"do_not_contact": [{"user_id": "u1", "note": "asked by letter"}]})
    for family in FAMILIES:
        assert {user_id for user_id, _, _ in people(result.folder, family)} == {"u2"}


def test_a_segment_that_cannot_be_the_name_of_a_file_is_refused(
    extract: Callable[..., tuple[Extracts, compiled_sql.World]], tmp_path: Path
) -> None:
    _, world = extract(tmp_path)
    world.con.execute("update build.marts.segment_catalog set segment = '../lost' where segment = 'lost'")
    with pytest.raises(BarometerError, match="'../lost' can't be the name"):
        write_all(world, tmp_path / "data")
    assert not list((tmp_path / "data" / "extracts").glob("[!.]*"))


def test_where_no_family_is_published_no_segment_is_extracted(compiled: compiled_sql.Compiled, tmp_path: Path) -> None:
    built = compiled_sql.World(compiled.only(MODELS))
    built.build(AS_OF)
    # the catalogue has no rows of families that are not published (a unit test of segment_catalog shows it)
    built.con.execute("delete from build.marts.segment_catalog")
    put_plan(built, [], audiences=[])
    result = write_all(built, tmp_path)
    built.close()
    assert (result.segments.rows, result.plan_lists.rows, result.rows) == ({}, {}, 0)
    assert metadata_of(result)["dagster/row_count"] == 0
    # Dagster takes no table without rows
    assert not {"rows", "plan_lists"} & metadata_of(result).keys()
