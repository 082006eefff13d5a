"""fatigue_curve and dose_response on a simulated shop, against a count of every user on every day in plain Python.

The intervals are those that statsmodels gives, with errors clustered by user.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest

from data.simulator.parameters import Parameters
from data.simulator.shop import Shop
from tests import compiled_sql
from tests.loop import Loop
from tests.properties.oracle.numbers import bucket

DAYS = 75
SHOP = Parameters(users=180, days=DAYS, seed=4, growth_per_contact=0.8)
AS_OF = SHOP.last_day
TEST_FROM = AS_OF - timedelta(days=29)
SEEDS = {"dose_arms": [{"valid_from": TEST_FROM, "salt": "june", "share": 0.33}]}
FIRST = {"fatigue": AS_OF - timedelta(days=364), "dose": TEST_FROM}
DAY = timedelta(days=1)
#: Where statsmodels counts anew: cells with enough events.
LEAST_EVENTS = 3

Row = dict[str, Any]
#: By what is counted: (days, events) of each user.
Cells = dict[tuple[Any, ...], dict[str, tuple[int, int]]]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[compiled_sql.World]:
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    marts = ["fatigue_curve", "dose_response", "int_engagement_spans"]
    made = compiled_sql.World(compiled.only(marts), SEEDS)
    Loop(Shop(SHOP), made, tmp_path_factory.mktemp("shop")).begin(DAYS)
    made.build(AS_OF)
    yield made
    made.close()


@dataclass
class User:
    """What is known of a user, by channel."""

    contacts: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    granted: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    withdrawn: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    unsubscribed: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    complained: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    clicked: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    spans: list[tuple[date, date, str]] = field(default_factory=list)

    def engagement(self, day: date) -> str:
        return next((segment for first, last, segment in self.spans if first <= day < last), "never_seen")

    def is_reachable(self, channel: str, day: date, needs_consent: bool) -> bool:
        """Whether marketing could go there at the start of a day."""

        def latest(moments: dict[str, list[Any]]) -> Any:
            return max((moment for moment in moments[channel] if moment.date() < day), default=None)

        granted, withdrawn, left = latest(self.granted), latest(self.withdrawn), latest(self.unsubscribed)
        if latest(self.complained) is not None:
            return False
        if granted is None:
            return not needs_consent and withdrawn is None and left is None
        return (withdrawn is None or granted > withdrawn) and (left is None or granted > left)


def read(world: compiled_sql.World) -> tuple[dict[str, User], dict[str, bool]]:
    users: dict[str, User] = defaultdict(User)
    messages = {row["message_id"]: row for row in world.rows("fct_contacts")}
    for row in messages.values():
        if row["is_contact"]:
            users[row["user_id"]].contacts[row["channel"]].append(row["sent_at"])
    for row in world.rows("int_message_events__classified"):
        message = messages.get(row["message_id"])
        if message is None:
            continue
        user, channel = users[message["user_id"]], message["channel"]
        for name, is_so in (
            ("unsubscribed", row["is_unsubscribed"]),
            ("complained", row["is_complained"]),
            ("clicked", row["is_click"] and message["is_contact"]),
        ):
            if is_so:
                getattr(user, name)[channel].append(row["occurred_at"])
    for row in world.rows("stg_consents"):
        if row["known_from"] <= AS_OF < row["known_until"] and row["occurred_date"] <= AS_OF:
            getattr(users[row["user_id"]], row["status"])[row["channel"]].append(row["occurred_at"])
    for row in world.con.execute("select user_id, channel, occurred_at from raw.consent_stand_ins").fetchall():
        raise AssertionError(f"the shop has a stand-in: {row}")
    for row in world.rows("int_engagement_spans"):
        users[row["user_id"]].spans.append((row["valid_from"], row["valid_to"], row["segment"]))
    return users, {row["channel"]: row["marketing_needs_consent"] for row in world.rows("channels")}


def counted(users: dict[str, User], needs_consent: dict[str, bool], what: str) -> Cells:
    """Look at every user on every day: by event, channel, engagement and contacts, for the test with the arm before."""
    cells: Cells = defaultdict(dict)

    def add(key: tuple[Any, ...], name: str, days: int, events: int) -> None:
        before = cells[key].get(name, (0, 0))
        cells[key][name] = (before[0] + days, before[1] + events)

    for name, user in users.items():
        place = bucket("dose", "june", name)
        arm = "low" if place < 0.33 else "high" if place < 0.66 else "control"
        own = [channel for channel, sent in user.contacts.items() if sent]
        for channel in (*own, *(["all"] if own else [])):
            parts = own if channel == "all" else [channel]
            sent = sorted(moment for part in parts for moment in user.contacts[part])
            every = list(needs_consent) if channel == "all" else [channel]
            gone = [m for part in every for m in (*user.unsubscribed[part], *user.complained[part])]
            clicks = [moment for part in every for moment in user.clicked[part]]
            for event, moments in (("leave", gone), ("click", clicks)):
                first = min((m for m in moments if m.date() >= FIRST[what]), default=None)
                day = max(FIRST[what], sent[0].date())
                while day <= AS_OF and (first is None or day <= first.date()):
                    if any(user.is_reachable(part, day, needs_consent[part]) for part in parts):
                        is_event = first is not None and day == first.date()
                        until = bisect_right(sent, first) if is_event else len(sent)
                        number = sum(0 <= (day - moment.date()).days < 7 for moment in sent[:until])
                        before = TEST_FROM if what == "dose" else day
                        for segment in (user.engagement(before - DAY), "all"):
                            if what == "dose":
                                add((event, channel, segment, arm, number), name, 1, is_event)
                            elif number:
                                add((event, channel, segment, min(number, 15)), name, 1, is_event)
                    day += DAY
    return cells


def clustered(days: np.ndarray, events: np.ndarray) -> tuple[float, float]:
    """The interval of a hazard by a logistic regression of the days, clustered by user."""
    import statsmodels.api as sm

    outcome = np.concatenate([[1.0] * int(e) + [0.0] * int(d - e) for d, e in zip(days, events, strict=True)])
    groups = np.repeat(np.arange(len(days)), days)
    fitted = sm.GLM(outcome, np.ones(len(outcome)), family=sm.families.Binomial()).fit(
        cov_type="cluster", cov_kwds={"groups": groups}
    )
    low, high = fitted.conf_int()[0]
    return 1 / (1 + np.exp(-low)), 1 / (1 + np.exp(-high))


def test_the_curve_is_a_count_of_every_user_on_every_day(world: compiled_sql.World) -> None:
    wanted = counted(*read(world), "fatigue")
    found = {
        (row["event"], row["channel"], row["engagement"], row["contacts_7d"]): row
        for row in world.rows("fatigue_curve")
        if row["source"] == "observational"
    }
    assert found.keys() == wanted.keys()
    assert {key[0] for key in found} == {"leave", "click"}
    assert {"all", "email", "push"} <= {key[1] for key in found}
    assert {"all", "engaged", "dormant"} <= {key[2] for key in found}
    compared = 0
    for key, of_users in wanted.items():
        row, days, events = found[key], *np.array(list(of_users.values())).T
        assert (row["user_days"], row["users"], row["events"]) == (days.sum(), len(days), events.sum()), key
        assert row["hazard"] == pytest.approx(events.sum() / days.sum(), abs=1e-9)
        if events.sum() >= LEAST_EVENTS and days.sum() < 700:
            compared += 1
            low, high = clustered(days, events)
            assert (row["hazard_low"], row["hazard_high"]) == pytest.approx((low, high), abs=1e-7), key
    assert compared > 10


def test_arms_are_counted_as_they_were_drawn(world: compiled_sql.World) -> None:
    wanted = counted(*read(world), "dose")
    found = {(row["event"], row["channel"], row["engagement"], row["arm"]): row for row in world.rows("dose_response")}
    assert found.keys() == {key[:4] for key in wanted}
    naive_compared = 0
    for key, row in found.items():
        cells = {cell[4]: list(users.values()) for cell, users in wanted.items() if cell[:4] == key}
        days = sum(day for users in cells.values() for day, _ in users)
        contacts = sum(number * day for number, users in cells.items() for day, _ in users)
        assert row["user_days"] == days
        assert row["events"] == sum(event for users in cells.values() for _, event in users)
        assert row["users"] == len({u for cell, users in wanted.items() if cell[:4] == key for u in users})
        assert row["mean_contacts_7d"] == pytest.approx(contacts / days, abs=1e-6)
        control = found.get((*key[:3], "control"))
        if control is None or key[3] == "control":
            assert row["difference"] is None
            continue
        assert row["difference"] == pytest.approx(row["hazard"] - control["hazard"], abs=2e-9)
        # an arm without an event, or with one on every day, does not say how sure it is
        is_told = all(0 < arm["events"] < arm["user_days"] for arm in (row, control))
        if is_told and min(row["users"], control["users"]) > 1:
            assert row["difference_low"] <= row["difference"] <= row["difference_high"]
        else:
            assert row["difference_low"] is None
        curve: dict[int, list[int]] = defaultdict(lambda: [0, 0])
        for cell, users in wanted.items():
            if cell[:4] == (*key[:3], "control"):
                for day, event in users.values():
                    curve[min(cell[4], 15)][0] += day
                    curve[min(cell[4], 15)][1] += event
        if min(curve) == 0:
            naive_compared += 1
            said = 0.0
            for number, users in cells.items():
                nearest = max(known for known in curve if known <= min(number, 15))
                said += sum(day for day, _ in users) * curve[nearest][1] / curve[nearest][0]
            assert row["naive_difference"] == pytest.approx(said / days - control["hazard"], abs=2e-9)
    assert naive_compared > 5


# --- Many worlds of which the truth is known: eager people are sent more, and mind each contact as little as others.

WORLDS = 400
USERS = 600
TEST_DAYS = 60
#: How many contacts a week tired, usual and eager people would get, how many of them there are, and what they leave by
#: without any.
WANTED, WEIGHTS, BASE = np.array([2, 3, 5]), np.array([0.4, 0.3, 0.3]), np.array([0.006, 0.003, 0.0005])
ARMS = ("low", "control", "high")
_AT = {"low": 2, "control": 3, "high": 4}


def expected(effect: float, arm: str) -> tuple[float, float, float]:
    """Events, days and contacts that a user of an arm is expected to have."""
    contacts = np.minimum(WANTED, _AT[arm])
    hazard = BASE + effect * contacts
    events = 1 - (1 - hazard) ** TEST_DAYS
    days = events / hazard
    return float(WEIGHTS @ events), float(WEIGHTS @ days), float(WEIGHTS @ (days * contacts))


def drawn_days(effect: float) -> dict[str, np.ndarray]:
    """The days of a dose test in each of many worlds."""
    luck, size = np.random.default_rng(5), WORLDS * USERS
    kind, arm = luck.choice(3, size, p=WEIGHTS), luck.integers(0, 3, size)
    contacts = np.minimum(WANTED[kind], np.array([2, 3, 4])[arm])
    leaves_on = luck.geometric(BASE[kind] + effect * contacts)
    return {
        "number": np.arange(size),
        "contacts_7d": contacts,
        "arm": arm,
        "days": np.minimum(leaves_on, TEST_DAYS),
        "leaves": (leaves_on <= TEST_DAYS).astype(int),
    }


@pytest.mark.parametrize("effect", [0.0, 0.0015])
def test_intervals_of_the_arms_cover_the_truth_and_the_naive_curve_is_far_off(
    effect: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A channel is a world here, so that one query computes all."""
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    world = compiled_sql.World(compiled.only(["dose_response", "int_dose_curve"]))
    drawn = drawn_days(effect)
    world.con.execute(
        f"create table {compiled.relations['int_dose_days']} as select number::varchar as user_id, "
        f"(number // {USERS})::varchar as channel, contacts_7d::integer as contacts_7d, "
        "['low', 'control', 'high'][arm + 1] as arm, 'engaged' as engagement, days as leave_days, leaves, "
        "0::bigint as click_days, 0::bigint as clicks from drawn"
    )
    assert drawn["days"].all()
    world.build(AS_OF, only=["int_dose_users", "int_dose_curve", "dose_response"])
    arms = [row for row in world.rows("dose_response") if row["engagement"] == "all"]
    curve = [row for row in world.rows("int_dose_curve") if row["engagement"] == "all"]
    world.close()

    of_arm = {arm: expected(effect, arm) for arm in ARMS}
    hazards = {arm: events / days for arm, (events, days, _) in of_arm.items()}
    events, days, contacts = np.sum(list(of_arm.values()), axis=0)
    dose = of_arm["high"][2] / of_arm["high"][1] - of_arm["low"][2] / of_arm["low"][1]
    slope = (hazards["high"] - hazards["low"]) / dose
    covers = {
        arm: [
            r["difference_low"] <= hazards[arm] - hazards["control"] <= r["difference_high"]
            for r in arms
            if r["arm"] == arm
        ]
        for arm in ("low", "high")
    }
    assert {arm: len(worlds) for arm, worlds in covers.items()} == {"low": WORLDS, "high": WORLDS}
    # 95 % of so many, give or take three standard deviations
    most_off = 3 * np.sqrt(0.05 * 0.95 / WORLDS)
    for worlds in covers.values():
        assert np.mean(worlds) == pytest.approx(0.95, abs=most_off)
    for number in (2, 3):
        at = [row for row in curve if row["contacts_7d"] == number]
        truth = events / days + slope * (number - contacts / days)
        assert len(at) == WORLDS
        assert np.mean([r["hazard_low"] <= truth <= r["hazard_high"] for r in at]) == pytest.approx(0.95, abs=most_off)
    # fewer contacts keep people, or do nothing; by themselves people with fewer leave more
    assert hazards["low"] - hazards["control"] <= 0
    naive = [row["naive_difference"] for row in arms if row["arm"] == "low"]
    assert np.mean([said > 0 for said in naive]) > 0.9
