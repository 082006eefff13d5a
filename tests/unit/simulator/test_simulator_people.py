"""What people do by themselves has the shares and rates that the parameters say."""

from __future__ import annotations

import numpy as np
import pytest

from data.simulator.catalogue import PER_CATEGORY
from data.simulator.parameters import CHANNEL, DAY, NEVER, Parameters
from data.simulator.people import ABSENT, ASLEEP, AWAKE, GONE, make_people, web_device
from tests.unit.simulator.lives import Lived, live, near, share_is

#: Nobody is woken by a click, so that the states of the truth are those of people by themselves.
PARAMETERS = Parameters(users=4000, days=60, seed=11, click_wakes=0.0)


@pytest.fixture(scope="module")
def lived() -> Lived:
    return live(PARAMETERS)


def _states(lived: Lived) -> np.ndarray:
    """State by day and person."""
    parameters = lived.parameters
    table = np.full((parameters.days, parameters.users), ABSENT, dtype=np.int8)
    for day, users, states in lived.shop.truth.states:
        table[day:, users] = states
    return table


def test_visits_by_kind_settle_as_the_parameters_say(lived: Lived) -> None:
    parameters, people = lived.parameters, lived.people
    state = _states(lived)
    awake_since = np.full(parameters.users, -56)
    expected = np.zeros((len(parameters.kinds), 2))
    for day in range(parameters.days):
        before = state[day - 1] if day else np.full(parameters.users, AWAKE)
        awake_since[(state[day] == AWAKE) & (before != AWAKE)] = day
        week = np.minimum((day - awake_since) // 7, len(parameters.settling) - 1)
        chance = people.visit_rate * np.asarray(parameters.settling)[week]
        chance = chance * parameters.weekday_visits[parameters.date_of(day).weekday()]
        # on these days a person comes anyway
        is_usual = (state[day] == AWAKE) & (people.came_day != day) & (people.seen_day != day)
        for is_late in (0, 1):
            rows = is_usual & ((week >= 4) == is_late)
            expected[:, is_late] += np.bincount(people.kind[rows], weights=chance[rows], minlength=len(expected))
    visits = lived.con.execute("from own_visits").fetchnumpy()
    usual = (people.came_day[visits["user"]] != visits["day"]) & (people.seen_day[visits["user"]] != visits["day"])
    counts = np.bincount(people.kind[visits["user"][usual]], minlength=len(parameters.kinds))
    for number, kind in enumerate(parameters.kinds):
        total = expected[number].sum() * (1 + parameters.visits_again)
        assert near(counts[number], total, total * 1.3), kind.name
    assert counts[0] > 1000


def test_people_who_are_asleep_or_gone_do_not_come_by_themselves(lived: Lived) -> None:
    visits = lived.con.execute("from own_visits").fetchnumpy()
    people = lived.people
    signs_up = (people.came_day[visits["user"]] == visits["day"]) | (people.seen_day[visits["user"]] == visits["day"])
    assert set(visits["state"][~signs_up].tolist()) == {AWAKE}
    assert lived.one(f"select count(distinct state) from states where state in ({ASLEEP}, {GONE})") == 2


def test_states_change_as_often_as_the_kinds_say(lived: Lived) -> None:
    parameters, people, state = lived.parameters, lived.people, _states(lived)
    for number, kind in enumerate(parameters.kinds):
        mine = state[:, people.kind == number]
        for from_, to, chance in ((AWAKE, ASLEEP, kind.falls_asleep), (ASLEEP, AWAKE, kind.wakes)):
            tries = (mine[:-1] == from_).sum()
            if tries > 500 and 0 < chance < 1 and not (people.erasure_day < NEVER)[people.kind == number].all():
                assert share_is(((mine[:-1] == from_) & (mine[1:] == to)).sum(), tries, chance), kind.name


def test_people_come_evenly_over_the_days(lived: Lived) -> None:
    came = lived.people.came_day
    new = came[came >= 0]
    expected = sum(k.weight * (1 - k.before) for k in PARAMETERS.kinds) / sum(k.weight for k in PARAMETERS.kinds)
    assert share_is(len(new), len(came), expected)
    assert share_is((new < PARAMETERS.days // 2).sum(), len(new), 0.5)


def test_most_visits_are_to_the_favourite_category(lived: Lived) -> None:
    visits = lived.con.execute("from own_visits").fetchnumpy()
    likes = visits["product"] // PER_CATEGORY == lived.people.favourite[visits["user"]]
    chance = PARAMETERS.favourite_share + (1 - PARAMETERS.favourite_share) / 8
    assert share_is(likes.sum(), len(likes), chance)
    viewed = lived.rows(
        """select count(*), count(*) filter (product // 10 = favourite) from events
        join (select unnest(range(4000)) as "user", unnest($favourite) as favourite) using ("user")
        where event in (8, 15) and is_caused = 0""".replace("$favourite", str(lived.people.favourite.tolist()))
    )
    assert abs(viewed[0][1] / viewed[0][0] - chance) < 0.02


def test_orders_by_visit_follow_taste_and_season(lived: Lived) -> None:
    visits = lived.con.execute("from own_visits").fetchnumpy()
    months = np.asarray([PARAMETERS.date_of(int(day)).month for day in range(PARAMETERS.days)])[visits["day"]]
    distance = np.abs(months - lived.people.season[visits["user"]])
    near_season = np.minimum(distance, 12 - distance) <= 1
    factor = np.where(near_season, PARAMETERS.in_season, PARAMETERS.off_season)
    chance = np.where(visits["is_logged_in"], lived.people.buy_rate[visits["user"]] * factor, 0)
    assert near(visits["buys"].sum(), chance.sum())
    assert visits["buys"][near_season].mean() > 1.5 * visits["buys"][~near_season].mean()


def test_some_people_share_a_device_a_mailbox_or_a_telephone(lived: Lived) -> None:
    people, size = lived.people, lived.parameters.users
    own = np.arange(size)
    for owner, share in (
        (people.web_owner, PARAMETERS.shared_devices),
        (people.mailbox, PARAMETERS.shared_mailboxes),
    ):
        assert share_is((owner != own).sum(), size, share * (1 - share))
        assert (owner[owner] == owner).all()
    assert 0 < (people.phone_owner != own).sum() < size * PARAMETERS.shared_phones
    used_by_two = lived.one("""select count(*) from (select device from events where "user" >= 0 and device >= 0
        group by device having count(distinct "user") = 2)""")
    assert used_by_two > 10
    numbers = [tuple(pair) for pair in zip(people.country.tolist(), people.phone.tolist(), strict=True) if pair[1] >= 0]
    assert len(set(numbers)) == len(numbers)


def test_people_come_anonymously_and_are_linked_later(lived: Lived) -> None:
    people = lived.people
    early = np.flatnonzero(people.seen_day < people.came_day)
    online_and_new = (people.came_day >= 0) & (people.visit_rate > 0)
    assert share_is(len(early), int(online_and_new.sum()), PARAMETERS.comes_before_signup * 1.0) or len(early) > 50
    devices = set(web_device(people, early, 0).tolist())
    anonymous = {d for (d,) in lived.rows('select distinct device from events where "user" < 0 and device >= 0')}
    assert len(devices & anonymous) > len(early) * 0.5
    linked = lived.one('select count(distinct "user") from identities')
    online = np.asarray([k.visits > 0 or k.comes_once for k in PARAMETERS.kinds])[people.kind]
    assert share_is(linked, int(online.sum()), PARAMETERS.links)
    both = lived.one('select count(*) from events where "user" >= 0 and device >= 0')
    assert both > 1000


def test_some_events_arrive_late(lived: Lived) -> None:
    total, late, days = lived.rows(f"""select count(*), count(*) filter (received - happened >= {DAY // 2}),
        count(*) filter (arrived - (happened - {PARAMETERS.start}) // {DAY} > 3) from events
        where received >= 0 and happened < {PARAMETERS.end - 4 * DAY}""")[0]
    assert abs(late / total - PARAMETERS.late_visits) < 0.008
    assert days == 0


def test_who_comes_and_who_is_known_do_not_depend_on_dirt_or_others() -> None:
    one, two = make_people(Parameters(users=300)), make_people(Parameters(users=300, dirt=0, others=0.5))
    assert (one.came == two.came).all() and (one.tastes == two.tastes).all()


def test_subscriptions_are_renewed_cancelled_ended_and_taken_up_again() -> None:
    lived = live(Parameters(users=3000, days=50, seed=4, subscribers=0.8, asks_to_cancel=0.01, turns_off_renewal=0.01))
    changes = lived.rows("""select count(*) filter (auto = 0), count(*) filter (asked >= 0),
        count(*) filter (ended >= 0), count(*) filter (was_ended and ended < 0), count(*) filter (renews > renewed)
        from (select *, lag(ended) over w >= 0 as was_ended, lag(renews) over w as renewed from subscriptions
        window w as (partition by "user" order by happened))""")[0]
    assert all(count > 10 for count in changes), changes
    assert lived.one("select count(*) from subscriptions where ended >= 0 and auto = 1") == 0


def test_who_is_erased_leaves_no_more_rows_unless_he_goes_on() -> None:
    lived = live(Parameters(users=2000, days=30, seed=2, erasures=0.3, levels=(0, 0, 0, 1)))
    people = lived.people
    asked = dict(lived.rows('select "user", happened from erasures'))
    assert len(asked) > 100
    goes_on_after = 0
    for dataset in ("events", "messages", "consents", "addresses", "users", "orders"):
        # an order made before may still be said to be on its way
        where = "message_class = 0" if dataset == "messages" else "true"
        for user, last in lived.rows(f'select "user", max(happened) from {dataset} where {where} group by all'):
            if user in asked and last > asked[user] + DAY // 2:
                assert people.goes_on[user], (dataset, user)
                goes_on_after += 1
    assert goes_on_after > 100


def test_addresses_of_channels_are_as_the_parameters_say(lived: Lived) -> None:
    people = lived.people
    email = people.has_address[CHANNEL["email"]]
    assert share_is(email.sum(), len(email), PARAMETERS.channels[0].addresses)
    assert not (people.has_address[CHANNEL["push"]] & (people.platform == 0)).any()
    for number, channel in enumerate(PARAMETERS.channels):
        asked = people.has_address[number]
        assert share_is(people.consents[number][asked].sum(), int(asked.sum()), channel.consents), channel.name
