"""Reactions, variants and people driven off: as often as the parameters say, and the truth says the same."""

from __future__ import annotations

import numpy as np
import pytest

from data.simulator import messages
from data.simulator.messages import REACTIONS
from data.simulator.parameters import CHANNEL, DAY, Parameters, Variant
from data.simulator.people import spread
from tests.unit.simulator.lives import Lived, live, near, share_is

#: Everybody is on all lists and looks at messages alike, asleep or not; every fourth message of some channels is seen.
PARAMETERS = Parameters(
    users=3000, days=60, seed=5, levels=(0, 0, 0, 1), attention=(1.0, 1.0, 1.0), subscribers=0.0
)  # fmt: skip


@pytest.fixture(scope="module")
def lived() -> Lived:
    return live(PARAMETERS)


@pytest.fixture(scope="module")
def contacts(lived: Lived) -> dict[str, np.ndarray]:
    """Marketing messages that arrived early enough for all reactions to be known, with what happened to each."""
    codes = {name: REACTIONS.index(name) for name in REACTIONS}
    lived.con.execute(f"""create table seen as
        select c.*, m.campaign, m.variant, m.happened,
            coalesce(bool_or(e.event in ({codes["opened"]}, {codes["read"]}) and e.is_machine_open < 0), false)
                as opened,
            coalesce(bool_or(e.event = {codes["opened"]} and e.is_machine_open = 1), false) as by_machine,
            coalesce(bool_or(e.event = {codes["clicked"]} and e.is_machine < 0), false) as clicked,
            coalesce(bool_or(e.event = {codes["delivered"]}), false) as delivered
        from contacts c join messages m on m.number = c.message
        left join message_events e on e.message = c.message
        where c.day < {PARAMETERS.days - 7} group by all""")
    return lived.con.execute("from seen order by message").fetchnumpy()


def _of_channel(name: str, channel: np.ndarray) -> np.ndarray:
    return np.asarray([getattr(c, name) for c in PARAMETERS.channels])[channel]


def test_opens_follow_channel_and_taste(lived: Lived, contacts: dict[str, np.ndarray]) -> None:
    taste = spread(PARAMETERS.tastes, lived.people.tastes[contacts["channel"], contacts["user"]])
    chance = np.minimum(_of_channel("opens", contacts["channel"]) * taste, 0.95)
    for channel in PARAMETERS.channels:
        for value in np.unique(taste):
            rows = (contacts["channel"] == CHANNEL[channel.name]) & (taste == value)
            expected = chance[rows]
            assert near(contacts["opened"][rows].sum(), expected.sum(), (expected * (1 - expected)).sum() + 0.01), (
                channel.name,
                value,
            )


def test_clicks_follow_channel_variant_and_the_contacts_of_the_week(
    lived: Lived, contacts: dict[str, np.ndarray]
) -> None:
    names = lived.shop.names
    effect = np.ones(len(contacts["user"]))
    for campaign in PARAMETERS.calendar:
        for variant in campaign.variants:
            rows = contacts["campaign"] == names.campaign(campaign.campaign_id)
            effect[rows & (contacts["variant"] == names.variant(variant.name))] = variant.clicks
    fatigue = np.asarray(PARAMETERS.click_fatigue)[np.minimum(contacts["contacts"], 40)]
    seen = np.asarray([c.opens > 0 for c in PARAMETERS.channels])[contacts["channel"]]
    taste = spread(PARAMETERS.tastes, lived.people.tastes[contacts["channel"], contacts["user"]])
    chance = _of_channel("clicks", contacts["channel"]) * effect * fatigue * np.where(seen, contacts["opened"], taste)
    for channel in PARAMETERS.channels:
        rows = contacts["channel"] == CHANNEL[channel.name]
        assert near(contacts["clicked"][rows].sum(), chance[rows].sum()), channel.name
    for low, high in ((0, 3), (3, 8), (8, 99)):
        rows = (contacts["contacts"] >= low) & (contacts["contacts"] < high)
        assert rows.sum() > 1000 and near(contacts["clicked"][rows].sum(), chance[rows].sum()), (low, high)


def test_variants_are_even_and_have_their_effect(lived: Lived, contacts: dict[str, np.ndarray]) -> None:
    offer = contacts["campaign"] == lived.shop.names.campaign("email_offer")
    a, b = (offer & (contacts["variant"] == lived.shop.names.variant(name)) for name in "AB")
    users = {name: len(np.unique(contacts["user"][rows])) for name, rows in (("a", a), ("b", b))}
    assert share_is(users["b"], sum(users.values()), 0.5)
    assert not set(contacts["user"][a]) & set(contacts["user"][b])
    rate = [contacts["clicked"][rows & contacts["opened"]].mean() for rows in (a, b)]
    size = [(rows & contacts["opened"]).sum() for rows in (a, b)]
    error = sum(r * (1 - r) / n for r, n in zip(rate, size, strict=True)) ** 0.5
    assert abs(rate[1] - 1.35 * rate[0]) < 4.5 * error * 1.35 and rate[1] - rate[0] > 2 * error


def test_effects_of_unknown_variants_are_those_of_plans() -> None:
    clicks, orders = messages.effects(
        (Variant("x", 2.0, 3.0),), (Variant("x", 9.0), Variant("B", 1.5)), ["x", "B", "?"]
    )
    assert clicks.tolist() == [2.0, 1.5, 1.0] and orders.tolist() == [3.0, 1.0, 1.0]


def test_a_share_of_mail_programs_opens_by_itself(lived: Lived, contacts: dict[str, np.ndarray]) -> None:
    openers = lived.people.machine_opens
    assert share_is(openers.sum(), len(openers), PARAMETERS.machine_openers)
    mail = contacts["channel"] == CHANNEL["email"]
    theirs = mail & openers[contacts["user"]]
    assert share_is(contacts["by_machine"][theirs].sum(), int(theirs.sum()), PARAMETERS.machine_opens)
    assert not contacts["by_machine"][~theirs].any()


def test_deliveries_failures_and_bounces(lived: Lived, contacts: dict[str, np.ndarray]) -> None:
    # Messages that bounced softly and still arrived are always logged as delivered.
    sms = contacts["channel"] == CHANNEL["push"]
    assert share_is(contacts["delivered"][sms].sum(), int(sms.sum()), PARAMETERS.channels[2].logs_delivery)
    mail = f"m.channel = {CHANNEL['email']} and m.message_class = 0 and m.happened < {PARAMETERS.end - 5 * DAY}"
    sent = lived.rows(f'select m."user" from messages m where {mail}')
    dead = lived.people.mailbox_is_dead[lived.people.mailbox]
    alive = sum(not dead[user] for (user,) in sent)
    hard, soft, failed = lived.rows(f"""select count(*) filter (bounce_type = 0), count(*) filter (bounce_type = 1),
        count(*) filter (event = {REACTIONS.index("failed")})
        from message_events e join messages m on m.number = e.message where {mail}""")[0]
    assert hard == len(sent) - alive > 0
    assert share_is(soft, alive, PARAMETERS.channels[0].bounces_softly)
    assert share_is(failed, alive, PARAMETERS.channels[0].fails)


def test_the_truth_counts_the_contacts_of_the_week(lived: Lived) -> None:
    wrong = lived.one("""select count(*) from contacts c join (select a."user", a.day, count(*) as n
        from (select distinct "user", day from contacts) a
        join contacts b on b."user" = a."user" and b.day between a.day - 6 and a.day group by all) w
        on w."user" = c."user" and w.day = c.day where w.n <> c.contacts""")
    assert wrong == 0
    assert lived.one("select max(contacts) from contacts") > 14


def test_leaving_grows_with_the_contacts_of_the_week_and_the_sensitivity(lived: Lived) -> None:
    table = lived.con.execute("from contacts where chance >= 0 order by message").fetchnumpy()
    base = sum(_of_channel(name, table["channel"]) for name in ("unsubscribes", "complains", "switches_off"))
    sensitivity = spread(PARAMETERS.sensitivities, lived.people.sensitivity[table["user"]])
    growth = np.asarray(PARAMETERS.growth)[np.minimum(table["contacts"], 40)]
    assert np.allclose(table["chance"], base * sensitivity * growth)
    left = table["way"] > 0
    rates = []
    for low, high in ((0, 3), (3, 6), (6, 10), (10, 99)):
        rows = (table["contacts"] >= low) & (table["contacts"] < high)
        assert near(left[rows].sum(), table["chance"][rows].sum()), (low, high)
        rates.append(left[rows].sum() / (base * sensitivity)[rows].sum())
    assert rates[0] < rates[2] < rates[3] and rates[3] > 3 * rates[0]
    by_class = []
    for value, _ in PARAMETERS.sensitivities:
        rows = sensitivity == value
        assert near(left[rows].sum(), table["chance"][rows].sum()), value
        by_class.append(left[rows].mean())
    assert by_class == sorted(by_class) and by_class[-1] > 5 * by_class[0]


def test_the_growth_table_truly_rises() -> None:
    growth, clicks = PARAMETERS.growth, PARAMETERS.click_fatigue
    assert growth[:3] == (1, 1, 1) and all(a < b for a, b in zip(growth[2:], growth[3:], strict=False))
    assert clicks[0] == 1 and min(clicks) == PARAMETERS.least_clicks and list(clicks) == sorted(clicks, reverse=True)


def test_who_left_gets_no_more_on_the_channel(lived: Lived) -> None:
    """But for a day, until the shop has heard of it; and unless he agrees again."""
    early = lived.one(f"""select count(*) from contacts gone join messages m
        on m."user" = gone."user" and m.channel = gone.channel and m.message_class = 0
        and (m.happened - {PARAMETERS.start}) // {DAY} > gone.day + 1 where gone.way > 0
        and not exists (from consents a where a."user" = gone."user" and a.channel = gone.channel and a.word < 4
            and a.happened >= {PARAMETERS.start} + gone.day * {DAY})""")
    assert early == 0
    day_after = lived.one(f"""select count(*) from contacts gone join messages m
        on m."user" = gone."user" and m.channel = gone.channel
        and (m.happened - {PARAMETERS.start}) // {DAY} = gone.day + 1 where gone.way > 0""")
    assert day_after > 0
    ways = dict(lived.rows("select way, count(*) from contacts where way > 0 group by all"))
    assert set(ways) == {messages.BY_UNSUBSCRIBE, messages.BY_COMPLAINT, messages.BY_SWITCH}
    said = dict(lived.rows("select event, count(*) from message_events where event in (7, 8) group by all"))
    assert said[messages.UNSUBSCRIBED] > 0.9 * ways[messages.BY_UNSUBSCRIBE]
    assert (lived.shop.truth.lost_day < PARAMETERS.days).sum() > 0


def test_some_logs_arrive_days_late(lived: Lived) -> None:
    total, late, latest = (
        lived.rows(f"""select count(*), count(*) filter (arrived > (happened - {PARAMETERS.start}) // {DAY}),
        max(arrived - (happened - {PARAMETERS.start}) // {DAY}) from messages
        where message_class = 0 and happened < {PARAMETERS.end - 5 * DAY}""")[0]
    )
    assert share_is(late, total, PARAMETERS.late_messages)
    assert latest in (3, 4)


def test_clicks_bring_visits_and_orders(lived: Lived) -> None:
    clicks = lived.one(
        f"select count(*) from message_events where event = 2 and is_machine < 0 and happened < {PARAMETERS.end}"
    )
    landed = lived.one("select count(*) from events where campaign >= 0")
    assert 0.5 * clicks < landed < PARAMETERS.click_visits * clicks * 1.05
    assert lived.one("select count(*) from orders where is_caused = 1 and status = 0") > 10


def test_a_click_can_wake_a_sleeper() -> None:
    lived = live(Parameters(users=2500, days=18, seed=8, levels=(0, 0, 0, 1), click_wakes=1.0))
    never = live(Parameters(users=2500, days=18, seed=8, levels=(0, 0, 0, 1), click_wakes=0.0))
    awake = [one.one("select count(*) from states where state = 1") for one in (lived, never)]
    assert awake[0] > awake[1]
    same = [one.rows("from own_visits order by all") for one in (lived, never)]
    assert same[0] == same[1]
