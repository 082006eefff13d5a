"""Caps on random worlds: policy segments of past days against the oracle's, and replays against one contact by contact.

Here bounces and failures come late, orders are cancelled and links of devices found later, so that what is known now
is not what was known then; and some rows are loaded after a first build.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from orchestration.measures.cap_simulation import ALL, Outcome, Period, cap_of, simulate
from orchestration.measures.replay import CALENDAR, ROLLING, WINDOWS, Cap
from orchestration.settings import seed_rows
from tests import compiled_sql
from tests.properties import oracle
from tests.properties.oracle import Row
from tests.properties.oracle.as_of import AsOf
from tests.properties.oracle.erasure import without_erased
from tests.properties.oracle.policy import policy_segments
from tests.properties.setups import SETUPS, Setup
from tests.properties.worlds import DATES, made_late, make_case, make_policy, whole, write_batch

MODELS = ("int_contact_segments", "int_message_orders", "fct_contacts")
MEASURED_DAYS = 365
COSTS = {row["channel"]: Decimal(row["message_cost"]) for row in seed_rows("channels")}


@dataclass(frozen=True)
class Sent:
    """A contact, as the oracle knows it."""

    message_id: str
    user: str
    day: date
    sent_at: datetime
    channel: str
    segment: str
    is_clicked: bool


def contacts_of(world: oracle.World, as_of: date) -> list[Sent]:
    """The contacts of the measured days, each with the policy segment of the day before."""
    found = [contact for contact in oracle.contacts_as_of(world, as_of).values() if contact.is_contact]
    found = [contact for contact in found if (as_of - contact.contact_date).days < MEASURED_DAYS]
    known = without_erased(world)
    eves = {contact.contact_date - timedelta(days=1) for contact in found}
    segments = {eve: policy_segments(AsOf(known, eve)) for eve in eves}
    return [
        Sent(
            contact.message_id,
            contact.user_id,
            contact.contact_date,
            contact.sent_at,
            contact.channel,
            segments[contact.contact_date - timedelta(days=1)].get(contact.user_id, "default"),
            contact.is_clicked,
        )
        for contact in found
    ]


def is_within(contact: Sent, before: Sequence[Sent], caps: Sequence[Cap], windows: str) -> bool:
    """Whether a contact is within every fitting cap beside those of the same user before it."""
    for cap in caps:
        if cap.policy_segment not in ("*", contact.segment) or cap.channel not in (ALL, contact.channel):
            continue
        counted = [
            each
            for each in before
            if cap.channel in (ALL, each.channel) and in_window(each.day, contact.day, cap.window_days, windows)
        ]
        if len(counted) >= cap.max_contacts:
            return False
    return True


def in_window(earlier: date, day: date, days: int, windows: str) -> bool:
    if windows == CALENDAR and days == 7:
        return earlier.isocalendar()[:2] == day.isocalendar()[:2]
    if windows == CALENDAR and 28 <= days <= 31:
        return (earlier.year, earlier.month) == (day.year, day.month)
    return (day - earlier).days < days


def outcomes(
    sent: Sequence[Sent], caps: Sequence[Cap], windows: str, orders: Sequence[tuple[str, str, Decimal | None]]
) -> dict[tuple[str, str], tuple[Any, ...]]:
    """What the caps do to contacts, counted for each segment and channel."""
    kept: list[Sent] = []
    removed = set()
    for contact in sent:
        if is_within(contact, [each for each in kept if each.user == contact.user], caps, windows):
            kept.append(contact)
        else:
            removed.add(contact.message_id)
    over = {
        side: {
            each.message_id
            for n, each in enumerate(those)
            if not is_within(each, [other for other in those[:n] if other.user == each.user], caps, ROLLING)
        }
        for side, those in (("before", sent), ("after", kept))
    }
    found = {}
    cells = {(s, c) for each in sent for s in (each.segment, ALL) for c in (each.channel, ALL)} | {(ALL, ALL)}
    for segment, channel in cells:
        here = [each for each in sent if segment in (ALL, each.segment) and channel in (ALL, each.channel)]
        gone = [each for each in here if each.message_id in removed]
        lost = {each.message_id for each in gone}
        touched = {order: revenue for message, order, revenue in orders if message in lost and revenue is not None}
        found[segment, channel] = (
            len(here),
            len(gone),
            len({each.user for each in here}),
            len({each.user for each in here if each.message_id in over["before"]}),
            len({each.user for each in here if each.message_id in over["after"]}),
            sum(each.is_clicked for each in gone),
            sum(touched.values(), Decimal(0)),
            sum((COSTS[each.channel] for each in gone), Decimal(0)),
        )
    return found


def counted(outcome: Outcome) -> tuple[Any, ...]:
    return (
        outcome.contacts, outcome.removed, outcome.users, outcome.users_over_before, outcome.users_over_after,
        outcome.clicks_touched, outcome.revenue_touched, outcome.cost_saved,
    )  # fmt: skip


def _some(dataset: str, rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Part the rows of a dataset in two, of which the second has every third or so."""
    chooser = random.Random(f"{dataset} {len(rows)}")
    late = [chooser.random() < 0.3 for _ in rows]
    return [row for row, is_late in zip(rows, late, strict=True) if not is_late], [
        row for row, is_late in zip(rows, late, strict=True) if is_late
    ]


@pytest.mark.parametrize("setup", [pytest.param(setup, id=setup.name) for setup in (SETUPS[0], SETUPS[2])])
def test_caps_are_played_as_the_rules_say(setup: Setup, tmp_path_factory: pytest.TempPathFactory) -> None:
    chooser = random.Random(setup.name)
    as_of = chooser.choice(DATES)
    prefixes = ["w0_", "w1_"]
    policy = make_policy(chooser, as_of, prefixes)
    given = {"settings": False, "time_zone": setup.time_zone, "as_of": as_of, "policy": policy}
    cases = [make_case(chooser.getrandbits(32), prefix=prefix, **given) for prefix in prefixes]
    worlds = [made_late(setup.of(case.world), as_of, chooser) for case in cases]
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"), setup.for_dbt).only(MODELS)
    built = compiled_sql.World(compiled)
    try:
        landing = tmp_path_factory.mktemp("landing")
        # some rows of every kind come after a build, and change what it holds
        for when, place in (("first", 0), ("later", 1)):
            for number, world in enumerate(worlds):
                rows = {dataset: _some(dataset, of_it)[place] for dataset, of_it in whole(world).items()}
                write_batch(rows, landing, f"{when}_{number}")
            built.load(landing)
            built.build(as_of if place else as_of - timedelta(days=2))
        sent = sorted(
            (contact for world in worlds for contact in contacts_of(world, as_of)),
            key=lambda each: (each.sent_at, each.message_id),
        )
        segments = {(row["user_id"], row["contact_date"]): row["policy_segment"] for row in built.rows(MODELS[0])}
        expected = {(each.user, each.day): each.segment for each in sent}
        assert {day: segments.get(day) for day in expected} == expected
        assert "fatigued" in {each.segment for each in sent}
        orders = [(row["message_id"], row["order_id"], row["revenue"]) for row in built.rows(MODELS[1])]
        policies = {
            "the world's": [cap_of(row._asdict()) for row in worlds[0].contact_policy],
            "few": [Cap("*", ALL, 7, 2), Cap("*", "email", 30, 3), Cap("fatigued", ALL, 14, 0)],
            "never": [Cap("*", ALL, 1, 0)],
            "none": [],
        }
        built.con.execute("use build")
        found = simulate(built.con, policies, Period(as_of - timedelta(days=MEASURED_DAYS - 1), as_of))
        for name, caps in policies.items():
            for windows in WINDOWS:
                rows = [each for each in found if (each.policy, each.windows) == (name, windows)]
                cells = {(each.segment, each.channel): counted(each) for each in rows}
                assert cells == outcomes(sent, caps, windows, orders), (name, windows)
        totals = {each.policy: each for each in found if (each.segment, each.channel) == (ALL, ALL)}
        assert totals["never"].removed == len(sent) > totals["few"].removed > totals["none"].removed == 0
    finally:
        built.close()
