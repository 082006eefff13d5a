"""A plan fed back: exactly its marketing is sent, people react to it, and what they do by themselves stays the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from data.simulator.names import Names
from data.simulator.parameters import CHANNEL, CHANNEL_NAMES, DAY, Parameters
from data.simulator.plan import read_plan
from data.simulator.shop import Shop
from data.simulator.world import write_world
from tests.unit.simulator.lives import Lived, live, share_is

PARAMETERS = Parameters(users=2000, days=28, seed=21, levels=(0, 0, 1, 2))
EMAIL, SMS = CHANNEL["email"], CHANNEL["sms"]


def write_plan(path: Path, rows: list[tuple[str, str, str, str | None, str | None]]) -> Path:
    """Write a plan as Parquet."""
    with duckdb.connect() as connection:
        connection.execute(
            "create table plan (user_id varchar, campaign_id varchar, channel varchar, variant varchar, "
            "message_class varchar)"
        )
        columns = [list(column) for column in zip(*rows, strict=True)] or [[]] * 5
        unnested = ", ".join(f"unnest(${number}::varchar[])" for number in range(1, 6))
        connection.execute(f"insert into plan select {unnested}", columns)
        connection.execute(f"copy plan to '{path}' (format parquet)")
    return path


def planned_rows(lived: Lived, where: str) -> dict[int, list[tuple[str, str, str, str | None, str | None]]]:
    """The marketing messages of a world as plans, by day."""
    names, base = lived.shop.names, lived.shop.names.user_base
    plans: dict[int, list[tuple[str, str, str, str | None, str | None]]] = {day: [] for day in range(PARAMETERS.days)}
    for user, campaign, channel, variant, at in lived.rows(
        f'select "user", campaign, channel, variant, happened from messages where message_class = 0 and {where}'
    ):
        test = names.variants[variant] if variant >= 0 else None
        row = (f"u{base + user}", names.campaigns[campaign], CHANNEL_NAMES[channel], test, "marketing")
        plans[(at - PARAMETERS.start) // DAY].append(row)
    return plans


@pytest.fixture(scope="module")
def calendar() -> Lived:
    return live(PARAMETERS)


@pytest.fixture(scope="module")
def half(calendar: Lived, tmp_path_factory: pytest.TempPathFactory) -> tuple[Lived, dict[int, list[tuple[str, ...]]]]:
    """The same world with a plan of every second message, and the plan."""
    folder = tmp_path_factory.mktemp("plans")
    plans = planned_rows(calendar, "hash(number) % 2 = 0")
    paths = {day: write_plan(folder / f"{day}.parquet", rows) for day, rows in plans.items()}
    return live(PARAMETERS, paths), plans


def _sent(lived: Lived, where: str = "true") -> set[tuple[int, int, int, int, int]]:
    return set(
        lived.rows(
            f'select (happened - {PARAMETERS.start}) // {DAY}, "user", campaign, channel, variant from messages '
            f"where message_class = 0 and {where}"
        )
    )


def test_exactly_the_planned_marketing_is_sent(
    calendar: Lived, half: tuple[Lived, dict[int, list[tuple[str, ...]]]]
) -> None:
    lived, plans = half
    names = lived.shop.names
    planned = {
        (day, int(row[0][1:]) - names.user_base, names.campaign(row[1]), CHANNEL[row[2]],
         names.variant(row[3]) if row[3] else -1)
        for day, rows in plans.items() if day < PARAMETERS.days - 4 for row in rows
    }  # fmt: skip
    early = f"happened < {PARAMETERS.end - 4 * DAY}"
    assert _sent(lived, early) == planned
    assert 0.4 * len(_sent(calendar, early)) < len(planned) < 0.6 * len(_sent(calendar, early))


def test_half_the_contacts_drive_fewer_people_off(
    calendar: Lived, half: tuple[Lived, dict[int, list[tuple[str, ...]]]]
) -> None:
    left = [one.one("select count(*) from contacts where way > 0") for one in (calendar, half[0])]
    contacts = [one.one("select count(*) from contacts") for one in (calendar, half[0])]
    assert left[1] < 0.6 * left[0]
    # fewer by contact, too: the chance grows with the contacts of the week
    assert left[1] / contacts[1] < 0.9 * left[0] / contacts[0]


def test_what_people_do_by_themselves_stays_the_same(
    calendar: Lived, half: tuple[Lived, dict[int, list[tuple[str, ...]]]]
) -> None:
    by_themselves = """select number, "user", happened from events where is_caused = 0 order by all"""
    orders = "select * from orders where is_caused = 0 order by all"
    for query in ("from own_visits order by all", by_themselves, orders):
        assert calendar.rows(query) == half[0].rows(query)
    caused = [one.one("select count(*) from events where is_caused = 1") for one in (calendar, half[0])]
    assert 0 < caused[1] < caused[0]


def test_apps_removed_because_of_messages_change_nothing_else(tmp_path: Path) -> None:
    removing = tuple(replace(channel, switches_off=0.05) for channel in PARAMETERS.channels)
    parameters = replace(PARAMETERS, channels=removing, switch_off_ways=(0, 0, 1), uninstalls=0.8, days=20)
    loud = live(parameters)
    quiet = live(parameters, {-1: write_plan(tmp_path / "empty.parquet", [])})
    removed = [one.one("select count(*) from events where event = 4 and is_caused = 0") for one in (loud, quiet)]
    assert removed[0] < removed[1]
    by_themselves = 'select number, "user", happened from events where is_caused = 0 and event <> 4 order by all'
    assert loud.rows(by_themselves) == quiet.rows(by_themselves)


def test_without_marketing_nobody_leaves_and_orders_are_still_confirmed(tmp_path: Path) -> None:
    lived = live(PARAMETERS, {-1: write_plan(tmp_path / "empty.parquet", [])})
    assert lived.rows("select distinct message_class from messages order by all") == [(1,), (2,)]
    assert lived.one("select count(*) from events where is_caused = 1") == 0
    assert (lived.shop.truth.lost_day > PARAMETERS.days).all()


def test_another_team_sends_its_share_past_the_plan(tmp_path: Path, calendar: Lived) -> None:
    empty = write_plan(tmp_path / "empty.parquet", [])
    lived = live(replace(PARAMETERS, others=0.3, days=10), {-1: empty})
    everything = live(replace(PARAMETERS, days=10))
    sent, all_ = (one.one("select count(*) from messages where message_class = 0") for one in (lived, everything))
    assert abs(sent / all_ - 0.3) < 0.03
    providers = {p for (p,) in lived.rows("select distinct provider from messages where message_class = 0")}
    assert providers == {-2}


def test_whom_nobody_can_reach_gets_nothing(tmp_path: Path) -> None:
    """Planned messages to people without an address fail; a plan may name campaigns and variants of its own."""
    parameters = replace(PARAMETERS, days=4)
    people = Shop(parameters).people
    names = Names.of(parameters)
    known = people.came_day < 0
    rows = [
        (f"u{names.user_base + user}", "welcome_back", "sms", "long", None)
        for user in range(parameters.users)
        if known[user]
    ]
    lived = live(parameters, {0: write_plan(tmp_path / "0.parquet", rows), -1: write_plan(tmp_path / "e.parquet", [])})
    sent = lived.rows(f'select "user", number from messages where channel = {SMS} and message_class = 0')
    assert len(sent) + 30 > len(rows) and lived.shop.names.campaigns[-1] == "welcome_back"
    failed = {number for (number,) in lived.rows("select message from message_events where event = 6")}
    has_phone = people.has_address[SMS]
    assert {number for user, number in sent if not has_phone[user]} <= failed
    reached = [number in failed for user, number in sent if has_phone[user]]
    assert share_is(sum(reached), len(reached), 0.01) or sum(reached) < 0.03 * len(reached)
    assert lived.one("select count(*) from contacts where chance > 0") > 0


def test_a_plan_that_can_not_be_sent_is_refused(tmp_path: Path) -> None:
    names = Names.of(PARAMETERS)
    path = tmp_path / "plan.parquet"
    good = (f"u{names.user_base}", "email_news", "email", None, None)
    for row, what in (
        (("u7", *good[1:]), "no such user"),
        (("someone", *good[1:]), "no such user"),
        ((good[0], "x", "pigeon", None, None), "unknown channel"),
        ((*good[:4], "gossip"), "unknown message_class"),
    ):
        with pytest.raises(ValueError, match=what):
            read_plan(write_plan(path, [good, row]), names, PARAMETERS.users)
    plan = read_plan(write_plan(path, [good, good]), names, PARAMETERS.users)
    assert (plan.user.tolist(), plan.variant.tolist(), plan.message_class.tolist()) == ([0], [-1], [0])
    with duckdb.connect() as connection:
        connection.execute(f"copy (select 'u1' as user_id) to '{path}' (format parquet)")
    with pytest.raises(ValueError, match="needs the columns campaign_id, channel"):
        read_plan(path, names, PARAMETERS.users)


def test_the_files_of_a_world_follow_the_plans_of_a_folder(tmp_path: Path) -> None:
    parameters = Parameters(users=100, days=9, seed=3, dirt=0)
    plans = tmp_path / "plans"
    plans.mkdir()
    for day in range(parameters.days):
        write_plan(plans / f"{parameters.date_of(day)}.parquet", [])
    write_plan(plans / f"{parameters.date_of(4)}.parquet", [("u1007", "hello", "email", None, None)])
    write_world(parameters, tmp_path / "out", "parquet", plans)
    with duckdb.connect() as connection:
        sent = connection.execute(
            f"""select user_id, campaign_id, sent_at::date from read_parquet('{tmp_path}/out/messages/**/*.parquet')
            where message_class = 'marketing' or message_class is null"""
        ).fetchall()
    assert sent == [("u1007", "hello", parameters.date_of(4))]
