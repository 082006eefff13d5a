"""Who is in the plan lists, what their files are like, and what is known of them before anybody can see them."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.activation import extracts
from orchestration.activation.assets import metadata_of
from orchestration.activation.extracts import Extracts, write_extracts
from orchestration.activation.plan_lists import COLUMNS
from orchestration.errors import BarometerError
from orchestration.warehouse.planned import load_planned, names
from orchestration.warehouse.running_tests import current_tests, refuse_changed_tests
from tests import compiled_sql
from tests.integration.people import (
    AS_OF,
    CLASSES,
    EXTRACTED_MODELS,
    LATER,
    LATEST,
    PLAN_DATE,
    T1,
    T2,
    T3,
    Planned,
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

MODELS = [*EXTRACTED_MODELS, "contact_plan", "audience_catalog"]
EVERY, SERVICE, NONE = frozenset(CLASSES), frozenset({"receipt", "notice"}), frozenset[str]()


@pytest.fixture(scope="module")
def whole_project(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))


@pytest.fixture(scope="module")
def compiled(whole_project: compiled_sql.Compiled) -> compiled_sql.Compiled:
    """What the lists are written from, the plan apart."""
    return whole_project.only(EXTRACTED_MODELS)


def lists(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The rows of every plan list, by audience."""
    found = {}
    for path in (folder / "plan").glob("*.parquet"):
        cursor = duckdb.execute(f"from read_parquet('{path}')")
        columns = [column[0] for column in cursor.description or []]
        assert columns == list(COLUMNS)
        found[path.stem] = [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    return found


def stored(data: Path) -> set[tuple[Any, ...]]:
    """What lists carried by the files: plan date, user, campaign, audience, channel, variant, class."""
    files = [str(data / "planned_contacts" / name) for name in names(data / "planned_contacts")]
    found = [row for file in files for row in duckdb.execute(f"from read_parquet('{file}')").fetchall()]
    assert len({row[:5] for row in found}) == len(found)
    return {row[:7] for row in found if row[7] is None}


def carried_by(folder: Path) -> set[tuple[Any, ...]]:
    """What the lists carry, in the columns of planned contacts."""
    return {
        (row["plan_date"], row["user_id"], row["campaign_id"], audience)
        + (row["channel"], row["variant"], row["message_class"])
        for audience, rows in lists(folder).items()
        for row in rows
    }


# the veto, by message class


@dataclass(frozen=True)
class Case:
    """A few people of whom %a is in the plan of every audience, and in whose lists %a is left."""

    rows: list[Row | list[Row]]
    left: frozenset[str]
    channel: str = "email"


#: Two users with one mailbox.
SHARED = [user(), user("%b", email=" %A@Example.org "), granted(), granted(user_id="%b")]
TOKEN = [user(), granted(channel="push"), address("%token", T1)]

CASES: dict[str, Case] = {
    "granted": Case([user(), granted()], EVERY),
    # no address
    "no_address": Case([user(email=None), granted()], NONE),
    "not_an_address": Case([user(email="nobody"), granted()], NONE),
    "another_channel": Case([user(), granted()], NONE, "push"),
    "unknown": Case([], NONE),
    "address_of_later": Case([*TOKEN, uninstalled(T2), address("%newer", LATER)], NONE, "push"),
    # consent: e-mail needs none for service, push does
    "never_asked": Case([user()], SERVICE),
    "withdrawn": Case([user(), granted(), withdrawn()], SERVICE),
    "later_withdrawn": Case([user(), granted(), withdrawn(LATER)], SERVICE),
    "later_withdrawn_elsewhere": Case([user(), granted(), withdrawn(LATER, "sms")], EVERY),
    "later_withdrawn_and_granted": Case([user(), granted(), withdrawn(LATER), granted(LATEST)], EVERY),
    "later_rejected": Case([user(), granted(), unreadable_consent(occurred_at=LATER)], SERVICE),
    "push_granted": Case(TOKEN, EVERY, "push"),
    "push_never_asked": Case([user(), address("%token", T1)], NONE, "push"),
    "push_later_withdrawn": Case([*TOKEN, withdrawn(LATER, "push")], NONE, "push"),
    "push_later_rejected": Case([*TOKEN, unreadable_consent(occurred_at=LATER, channel="push")], NONE, "push"),
    "in_app": Case([user()], EVERY, "in_app"),
    "in_app_later_withdrawn": Case([user(), withdrawn(LATER, "in_app")], SERVICE, "in_app"),
    # suppression: an unsubscribe or a complaint is about marketing, a hard bounce about the address
    "later_unsubscribed": Case([user(), granted(), reacted("unsubscribed", LATER)], SERVICE),
    "later_unsubscribed_and_granted": Case([user(), granted(), reacted("unsubscribed", LATER), granted(LATEST)], EVERY),
    "later_complained": Case([user(), granted(), reacted("complained", LATER), granted(LATEST)], SERVICE),
    "later_bounced": Case([user(), granted(), bounced(LATER), granted(LATEST)], NONE),
    "later_bounced_softly": Case([user(), granted(), bounced(LATER, bounce_type="soft")], EVERY),
    "bounced": Case([user(), granted(), bounced(T2)], NONE),
    "push_later_complained": Case([*TOKEN, reacted("complained", LATER, "push")], SERVICE, "push"),
    "push_later_bounced": Case([*TOKEN, bounced(LATER, "push")], NONE, "push"),
    "in_app_later_bounced": Case([user(), bounced(LATER, "in_app")], NONE, "in_app"),
    # a person is an address
    "shared": Case(SHARED, EVERY),
    "shared_later_withdrawn": Case([*SHARED, withdrawn(LATER, user_id="%b")], SERVICE),
    "shared_later_bounced": Case([*SHARED, bounced(LATER, user_id="%b")], NONE),
    # erasure
    "later_erased": Case([user(), granted(), erased(LATER)], NONE),
    "erased": Case([user(), granted(), erased(T2)], NONE),
    "erased_with_an_address_since": Case([user(), erased(T2), address("%new@example.org", T3, "email")], NONE),
    "erased_and_back": Case([user(created_at=T3), erased(T2), granted(T3)], EVERY),
}


@pytest.fixture(scope="module")
def all_cases(compiled: compiled_sql.Compiled, tmp_path_factory: pytest.TempPathFactory) -> Extracts:
    """The lists of all cases together: nobody of one case shares anything with another."""
    landing = tmp_path_factory.mktemp("landing")
    for name, case in CASES.items():
        write(landing, case.rows, name)
    world = compiled_sql.World(compiled)
    world.load(landing)
    world.build(AS_OF)
    put_plan(
        world,
        [Planned(named("%a", name), audience, case.channel) for name, case in CASES.items() for audience in CLASSES],
    )
    result = write_all(world, tmp_path_factory.mktemp("data"))
    world.close()
    return result


@pytest.mark.parametrize("name", CASES)
def test_who_is_left_in_a_list(all_cases: Extracts, name: str) -> None:
    found = {
        audience
        for audience, rows in lists(all_cases.folder).items()
        for row in rows
        if row["user_id"] == named("%a", name)
    }
    assert found == CASES[name].left


def test_what_the_veto_takes_out_is_counted_by_audience(all_cases: Extracts) -> None:
    left = {audience: sum(audience in case.left for case in CASES.values()) for audience in CLASSES}
    assert all_cases.plan_lists.rows == left
    assert all_cases.plan_lists.vetoed == {audience: len(CASES) - left[audience] for audience in CLASSES}
    shown = metadata_of(all_cases)["plan_lists"].records
    assert [record.data for record in shown] == [
        {"audience": audience, "rows": left[audience], "vetoed": len(CASES) - left[audience]}
        for audience in sorted(CLASSES)
    ]
    assert all_cases.planned == sum(left.values())


def test_planned_contacts_are_what_the_lists_carry(all_cases: Extracts) -> None:
    """Transactional and service messages too; nobody whom the veto took out."""
    data = all_cases.folder.parent.parent
    assert stored(data) == carried_by(all_cases.folder)
    assert {row[6] for row in stored(data)} == set(CLASSES.values())


def built(
    compiled: compiled_sql.Compiled, rows: Sequence[Row | list[Row]], landing: Path, seeds: dict[str, Any] | None = None
) -> compiled_sql.World:
    write(landing, rows)
    world = compiled_sql.World(compiled, seeds)
    world.load(landing)
    world.build(AS_OF)
    return world


@pytest.fixture
def make_world(compiled: compiled_sql.Compiled, tmp_path: Path) -> Callable[..., compiled_sql.World]:
    """A world of the rows given, without a plan."""
    return lambda rows, seeds=None: built(compiled, rows, tmp_path / "landing", seeds)


def reachable(*users: str, **values: Any) -> list[Row | list[Row]]:
    """Users with consent to e-mail."""
    return [row for name in users for row in (user(name, **values), granted(user_id=name))]


# what is in a list


def test_who_is_held_out_is_in_no_list(make_world: Callable[..., compiled_sql.World], tmp_path: Path) -> None:
    world = make_world(reachable("u1", "u2", "u3"))
    put_plan(world, [Planned("u1", holdout_kind="universal"), Planned("u2", holdout_kind="campaign"), Planned("u3")])
    result = write_all(world, tmp_path)
    assert [row["user_id"] for row in lists(result.folder)["sale"]] == ["u3"]
    # held out is not vetoed
    assert result.plan_lists.vetoed["sale"] == 0
    assert {row[1] for row in stored(tmp_path)} == {"u3"}


def test_a_class_that_nobody_knows_is_treated_like_marketing(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = make_world([user("u1"), *reachable("u2")])
    put_plan(world, [Planned(name, message_class="news") for name in ("u1", "u2")])
    assert [row["user_id"] for row in lists(write_all(world, tmp_path).folder)["sale"]] == ["u2"]


def test_a_row_of_a_list(make_world: Callable[..., compiled_sql.World], tmp_path: Path) -> None:
    world = make_world(reachable("u1", timezone="Europe/Paris", country="fr"))
    put_plan(world, [Planned("u1", campaign_id="summer", variant="offer")])
    assert lists(write_all(world, tmp_path).folder) == {
        "sale": [
            {
                "plan_date": date(2024, 7, 1),
                "user_id": "u1",
                "channel": "email",
                "address": "u1@example.org",
                "campaign_id": "summer",
                "variant": "offer",
                "message_class": "marketing",
                "timezone": "Europe/Paris",
                "send_from": 7,
                "send_until": 22,
            }
        ],
        "receipt": [],
        "notice": [],
    }


def test_hours_are_those_of_the_country_else_of_every_other(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    hours = [
        {"channel": "email", "country": None, "send_from": 7, "send_until": 22},
        {"channel": "email", "country": " fr ", "send_from": 9, "send_until": 12},
        {"channel": "in_app", "country": "DE", "send_from": 0, "send_until": 24},
    ]
    world = make_world(
        [
            *reachable("fr", country=" Fr"),
            *reachable("de", country="DE"),
            *reachable("nowhere", country=None),
            # the profile of the date counts
            *reachable("moved", country="DE"),
            user("moved", country="FR", timezone="Europe/Paris", updated_at="2024-06-30T23:00:00Z"),
            user("moved", country="DE", timezone="Europe/Berlin", updated_at=LATER),
        ],
        {"send_hours": hours},
    )
    users = ("fr", "de", "nowhere", "moved")
    put_plan(world, [Planned(name, channel=c, campaign_id=c) for name in users for c in ("email", "in_app")])
    rows = lists(write_all(world, tmp_path).folder)["sale"]
    assert {(row["user_id"], row["channel"]): (row["send_from"], row["send_until"]) for row in rows} == {
        ("fr", "email"): (9, 12),
        ("de", "email"): (7, 22),
        ("nowhere", "email"): (7, 22),
        ("moved", "email"): (9, 12),
        # no hours are said for these
        ("fr", "in_app"): (None, None),
        ("de", "in_app"): (0, 24),
        ("nowhere", "in_app"): (None, None),
        ("moved", "in_app"): (None, None),
    }
    assert {row["user_id"]: row["timezone"] for row in rows}["moved"] == "Europe/Paris"


def test_a_total_order_the_same_bytes_and_no_formulas(
    compiled: compiled_sql.Compiled, make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    formulas = {"=1+1": "'=1+1", "+cmd|x": "'+cmd|x", "@sum": "'@sum", "-5": "-5", 'quote",': 'quote",'}
    rows = [
        row for name in formulas for row in (user(name, email="a@example.org", timezone=name), granted(user_id=name))
    ]
    plan = [Planned(name, campaign_id=campaign, variant=name) for campaign in ("b", "=a") for name in formulas]
    folders = []
    for name, order in (("one", 1), ("two", -1)):
        world = built(compiled, rows[::order], tmp_path / name / "landing")
        put_plan(world, plan[::order])
        folders.append(write_all(world, tmp_path / name / "data").folder)
        world.close()
    one, two = folders
    for path in [path for path in one.rglob("*") if path.is_file()]:
        assert path.read_bytes() == (two / path.relative_to(one)).read_bytes(), path
    assert names(tmp_path / "one" / "data" / "planned_contacts") == names(
        tmp_path / "two" / "data" / "planned_contacts"
    )
    found = [(row["user_id"], row["campaign_id"]) for row in lists(one)["sale"]]
    assert found == sorted(found)
    with (one / "plan" / "sale.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    assert list(cells[0]) == list(COLUMNS)
    for cell, row in zip(cells, lists(one)["sale"], strict=True):
        text = formulas[row["user_id"]]
        assert (cell["user_id"], cell["timezone"], cell["variant"]) == (text, text, text)
        assert cell["campaign_id"] == {"=a": "'=a", "b": "b"}[row["campaign_id"]]
        assert (cell["plan_date"], cell["send_from"], cell["send_until"]) == ("2024-07-01", "7", "22")
    for path in [one, *one.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


def test_an_audience_that_cannot_be_the_name_of_a_file_is_refused(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = make_world([])
    put_plan(world, [], ["sale", "../sale"])
    with pytest.raises(BarometerError, match="'../sale' can't be the name"):
        write_all(world, tmp_path)
    assert not (tmp_path / "extracts" / "2024-06-30").exists()


# what is known of a list before anybody can see it


def test_planned_contacts_are_there_before_the_lists(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(reachable("u1", "u2"))
    put_plan(world, [Planned("u1"), Planned("u2", "receipt")])

    def killed(temporary: Path, folder: Path) -> None:
        assert not folder.exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extracts, "_put_in_place", killed)
        with pytest.raises(KeyboardInterrupt):
            write_all(world, tmp_path)
    assert {row[1] for row in stored(tmp_path)} == {"u1", "u2"}
    assert (tmp_path / "planned_contacts" / str(PLAN_DATE) / "tests.json").exists()
    before = names(tmp_path / "planned_contacts")
    # the run after it finds them there
    result = write_all(world, tmp_path)
    assert (result.is_same, result.planned) == (False, 0)
    assert names(tmp_path / "planned_contacts") == before
    assert stored(tmp_path) == carried_by(result.folder)


def test_a_list_is_not_seen_while_planned_contacts_cannot_be_written(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = make_world(reachable("u1"))
    put_plan(world, [Planned("u1")])
    (tmp_path / "planned_contacts").write_text("")
    with pytest.raises(BarometerError, match="planned_contacts"):
        write_all(world, tmp_path)
    assert not (tmp_path / "extracts" / "2024-06-30").exists()


def test_lists_that_are_there_are_left_alone_and_planned_contacts_made_whole(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = make_world(reachable("u1", "u2"))
    put_plan(world, [Planned("u1", variant="offer"), Planned("u2")])
    first = write_all(world, tmp_path)
    before, written = stored(tmp_path), first.folder.stat().st_ino
    again = write_all(world, tmp_path)
    assert (again.is_same, again.planned) == (True, 0)
    shutil.rmtree(tmp_path / "planned_contacts")
    # another file in their folder is none of theirs
    shutil.copy(first.folder / "plan" / "sale.parquet", first.folder / "plan" / "another.parquet")
    mended = write_all(world, tmp_path)
    assert (mended.is_same, mended.planned) == (True, 2)
    assert (mended.segments, mended.plan_lists) == (first.segments, first.plan_lists)
    assert stored(tmp_path) == before
    assert first.folder.stat().st_ino == written


def test_another_list_of_the_same_date_adds_what_is_new(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = make_world(reachable("u1", "u2", "u3"))
    put_plan(world, [Planned("u1"), Planned("u2")])
    write_all(world, tmp_path)
    put_plan(world, [Planned("u2"), Planned("u3")])
    result = write_all(world, tmp_path, "another build")
    assert result.planned == 1
    # who was carried and is no longer planned was perhaps contacted all the same
    assert {row[1] for row in stored(tmp_path)} == {"u1", "u2", "u3"}
    assert len(names(tmp_path / "planned_contacts")) == 2


def held_out_by(data: Path) -> list[tuple[Any, ...]]:
    """Who is recorded as held out: plan date, user, campaign, kind."""
    path = data / "planned_contacts" / "*" / "*.parquet"
    return duckdb.execute(
        f"select plan_date, user_id, campaign_id, holdout_kind from read_parquet('{path}') "
        "where holdout_kind is not null order by all"
    ).fetchall()


def test_who_is_held_out_is_recorded_once_and_in_no_list(
    make_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    """One side of a test: what became of them is measured from the first date on; the veto concerns them too."""
    world = make_world(reachable("u1", "u2", "u3"))
    plan = [Planned("u1"), Planned("u2", holdout_kind="campaign"), Planned("u3", holdout_kind="universal")]
    put_plan(world, [*plan, Planned("unknown", holdout_kind="campaign")])
    result = write_all(world, tmp_path)
    assert (result.planned, result.plan_lists.rows["sale"], result.plan_lists.vetoed["sale"]) == (1, 1, 0)
    recorded = [(PLAN_DATE, "u2", "sale", "campaign"), (PLAN_DATE, "u3", "sale", "universal")]
    assert held_out_by(tmp_path) == recorded
    write_all(world, tmp_path)
    assert held_out_by(tmp_path) == recorded
    # lost with the folder, they are found again
    shutil.rmtree(tmp_path / "planned_contacts")
    write_all(world, tmp_path)
    assert held_out_by(tmp_path) == recorded
    # held out again on the day after they are not new, somebody else is
    load_planned(world.con, tmp_path / "planned_contacts")
    world.con.execute("update build.marts.contact_plan set plan_date = plan_date + 1")
    world.con.execute("update build.marts.contact_plan set holdout_kind = 'campaign' where user_id = 'u1'")
    folders = (tmp_path / "extracts", tmp_path / "planned_contacts")
    result = write_extracts(world.con, *folders, AS_OF + timedelta(days=1), "another build", current_tests())
    assert result.planned == 0
    assert held_out_by(tmp_path) == [*recorded, (PLAN_DATE + timedelta(days=1), "u1", "sale", "campaign")]


# with the plan that the models make


@pytest.fixture
def planned_world(whole_project: compiled_sql.Compiled, tmp_path: Path) -> Callable[..., compiled_sql.World]:
    """A world of the rows given, with its plan."""
    return lambda rows, seeds=None: built(whole_project.only(MODELS), rows, tmp_path / "landing", seeds)


def visited(user_id: str, at: str, name: str = "Product Viewed") -> Row:
    values = {"event_id": f"{user_id}-{at}", "user_id": user_id, "event": name, "timestamp": at}
    return Row("events", values)


def ordered(user_id: str, at: str) -> Row:
    return Row("orders", {"order_id": f"o-{user_id}", "user_id": user_id, "ordered_at": at, "gross_amount": 20})


DORMANT = [f"d{n:02}" for n in range(30)]
BUYERS = [f"b{n:02}" for n in range(30)]
#: Half of everybody is left out of all marketing, half of the others of one campaign.
HELD_OUT: dict[str, Any] = {
    "universal_holdout": [{"valid_from": date(2024, 1, 1), "salt": "s", "share": 0.5}],
    "campaign_settings": [{"campaign_id": "reactivate_dormant", "holdout_share": 0.5}],
}


def everybody() -> list[Row | list[Row]]:
    return [
        *reachable(*DORMANT, *BUYERS),
        *(visited(name, at) for name in DORMANT for at in ("2024-03-01T10:00:00Z", "2024-03-05T10:00:00Z")),
        *(ordered(name, "2024-06-30T10:00:00Z") for name in BUYERS),
    ]


def in_plan(world: compiled_sql.World, is_held_out: bool) -> set[tuple[str, str]]:
    """User and audience of the rows of the plan."""
    return {
        (row["user_id"], row["audience"])
        for row in world.rows("contact_plan")
        if (row["holdout_kind"] is not None) == is_held_out
    }


def in_lists(folder: Path) -> set[tuple[str, str]]:
    return {(row["user_id"], audience) for audience, rows in lists(folder).items() for row in rows}


def test_the_lists_are_the_plan_without_those_held_out(
    planned_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = planned_world(everybody(), HELD_OUT)
    result = write_all(world, tmp_path)
    held_out, planned = in_plan(world, True), in_plan(world, False)
    kinds = {row["holdout_kind"] for row in world.rows("contact_plan")}
    assert kinds == {None, "universal", "campaign"}
    assert in_lists(result.folder) == planned
    # who ordered hears of it, held out or not
    assert {user_id for user_id, audience in planned if audience == "post_purchase_care"} == set(BUYERS)
    assert {user_id for user_id, audience in held_out if audience == "reactivate_dormant"} < set(DORMANT)
    assert set(result.plan_lists.vetoed.values()) == {0}
    assert set(result.plan_lists.rows) == {path.stem for path in (result.folder / "plan").glob("*.csv")}
    assert {row["audience"] for row in world.rows("audience_catalog")} == set(result.plan_lists.rows)
    universal = {row["user_id"] for row in world.rows("int_universal_holdout")}
    segments = duckdb.sql(f"select distinct user_id from '{result.folder}/engagement/*.parquet'").fetchall()
    assert {user_id for (user_id,) in segments} == {*DORMANT, *BUYERS} - universal


def test_a_later_grant_adds_nobody_who_is_not_in_the_plan(
    planned_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    unsubscribed, wavering, withdrawn_since = DORMANT[:3]
    world = planned_world(
        [
            *everybody(),
            *reacted("unsubscribed", T3, user_id=unsubscribed),
            user("late"),
            visited("late", "2024-03-01T10:00:00Z"),
            visited("late", "2024-03-05T10:00:00Z"),
            withdrawn(LATER, user_id=wavering),
            withdrawn(LATER, user_id=withdrawn_since),
        ],
        {"campaign_settings": [{"campaign_id": "reactivate_dormant", "holdout_share": 0}]},
    )

    def dormant_on_email(result: Extracts) -> set[str]:
        rows = lists(result.folder)["reactivate_dormant"]
        return {row["user_id"] for row in rows if row["channel"] == "email"}

    first = write_all(world, tmp_path)
    plan = in_plan(world, False)
    assert dormant_on_email(first) == set(DORMANT) - {unsubscribed, wavering, withdrawn_since}
    # everybody grants after as_of, and the same date is built again from all that is loaded
    grants = tmp_path / "later"
    write(grants, [granted(LATEST, user_id=name) for name in (unsubscribed, wavering, "late")])
    world.load(grants)
    load_planned(world.con, tmp_path / "planned_contacts")
    world.build(AS_OF)
    again = write_all(world, tmp_path, "another build")
    assert in_plan(world, False) == plan
    # the grant ends a veto; who was not in the plan stays out of it
    assert dormant_on_email(again) == set(DORMANT) - {unsubscribed, withdrawn_since}
    assert {row[1] for row in stored(tmp_path) if row[3] == "reactivate_dormant" and row[4] == "email"} == set(
        DORMANT
    ) - {unsubscribed, withdrawn_since}


def test_the_tests_of_the_plan_are_recorded(planned_world: Callable[..., compiled_sql.World], tmp_path: Path) -> None:
    world = planned_world(everybody())
    tests = current_tests()
    universal = replace(tests.universal[0], valid_from=PLAN_DATE, share=Decimal("0.5"))
    tests = replace(tests, universal=(universal,))
    arguments = (tmp_path / "extracts", tmp_path / "planned_contacts", AS_OF, "a build")
    write_extracts(world.con, *arguments, tests)
    # of all that the plan has, whoever is held out
    found = {(row["campaign_id"], row["audience"]) for row in world.rows("contact_plan")}
    recorded = json.loads((tmp_path / "planned_contacts" / str(PLAN_DATE) / "tests.json").read_text(encoding="utf-8"))
    assert set(recorded["campaigns"]) == {campaign for campaign, _ in found}
    assert "reactivate_dormant" in recorded["campaigns"]
    # what is recorded may not change
    refuse_changed_tests(tmp_path / "planned_contacts", PLAN_DATE, tests)
    other = replace(tests, universal=(replace(universal, share=Decimal("0.6")),))
    with pytest.raises(BarometerError, match="universal holdout"):
        refuse_changed_tests(tmp_path / "planned_contacts", PLAN_DATE, other)
    # lists that are there are left alone, and the record is made whole
    shutil.rmtree(tmp_path / "planned_contacts")
    assert write_extracts(world.con, *arguments, tests).is_same
    assert (tmp_path / "planned_contacts" / str(PLAN_DATE) / "tests.json").exists()


def test_the_same_date_again_keeps_whom_it_carried(
    planned_world: Callable[..., compiled_sql.World], tmp_path: Path
) -> None:
    world = planned_world(everybody())
    first = write_all(world, tmp_path)
    load_planned(world.con, tmp_path / "planned_contacts")
    world.build(AS_OF)
    again = write_all(world, tmp_path, "another build")
    assert again.planned == 0
    for audience in first.plan_lists.rows:
        for suffix in ("csv", "parquet"):
            name = f"plan/{audience}.{suffix}"
            assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
