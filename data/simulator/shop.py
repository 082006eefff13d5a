"""The shop: lives one day after the other and hands out the rows that arrive.

A day: people wake, fall asleep, come for the first time, leave for good; they visit and buy by themselves; messages
are sent; people look at them, click, come back because of them, or have had enough. What people do by themselves
uses draws of its own, so it is the same whatever is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data.simulator import catalogue, messages, orders, profiles, visits
from data.simulator.draws import Draws, Flags, Ints
from data.simulator.messages import MARKETING, SERVICE, TRANSACTIONAL, Sends
from data.simulator.names import Names
from data.simulator.parameters import APP_CHANNELS, CHANNEL, DAY, NEVER, TOKEN_CHANNELS, Parameters
from data.simulator.people import (
    ABSENT,
    ASLEEP,
    AWAKE,
    DEVICES,
    GONE,
    STRANGER,
    Agenda,
    app_device,
    make_people,
    web_device,
)
from data.simulator.plan import read_plan
from data.simulator.subscriptions import Subscriptions
from data.simulator.tables import HISTORY, Arrivals, Table, filled, joined, rows_of, taken
from data.simulator.visits import ORDER_AFTER, Visits

_WEEK = 7
_APP_AFTER = 600
_EMAIL, _SMS, _PUSH = CHANNEL["email"], CHANNEL["sms"], CHANNEL["push"]


@dataclass(frozen=True)
class Day:
    """What arrives on a day: a table of codes by dataset. ``number`` is -1 for what was there before the first day."""

    number: int
    date: date
    tables: dict[str, Table]


@dataclass(frozen=True)
class Clicks:
    """Clicks that lead to the shop on a day; ``order_effect`` is that of the variant."""

    user: Ints
    at: Ints
    campaign: Ints
    channel: Ints
    order_effect: NDArray[np.float64]


class Truth:
    """What really happened, which no row says: states, and what each contact did."""

    def __init__(self, users: int) -> None:
        #: (day, users, states) of every change of state.
        self.states: list[tuple[int, Ints, NDArray[np.int8]]] = []
        #: Columns message, user, channel, day, contacts, chance, way: one row a message that is a contact.
        self.contacts: list[Table] = []
        #: The day on which the last channel to each person was closed by contacts; NEVER for most.
        self.lost_day = np.full(users, NEVER, dtype=np.int16)

    def take_contacts(self) -> Table:
        """The contacts noted since the last call."""
        table = joined(self.contacts)
        self.contacts = []
        return table


class Shop:
    """A world with people in it, one day after the other.

    ``Shop(parameters).history`` is what the shop knew before the first day; then ``next_day()`` for each day.
    """

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.people = make_people(parameters)
        self._agenda = Agenda(self.people)
        self.profiles = profiles.Profiles.of(parameters, self.people)
        self.names = Names.of(parameters)
        self.truth = Truth(parameters.users)
        #: The number of the day that :meth:`next_day` lives.
        self.day = 0
        size, channels = parameters.users, len(parameters.channels)
        self._arrivals = Arrivals(parameters.start, parameters.days)
        self._subscriptions = Subscriptions(parameters, self.people)
        self._prices = catalogue.first_prices()
        kinds = parameters.kinds
        self._is_online = np.asarray([k.visits > 0 or k.comes_once for k in kinds])[self.people.kind]
        self._rates = {
            name: np.asarray([getattr(k, name) for k in kinds])[self.people.kind]
            for name in ("falls_asleep", "wakes", "leaves")
        }
        self._till_people = np.flatnonzero(np.asarray([k.shop_orders for k in kinds])[self.people.kind] > 0)
        awake = Draws(parameters.seed, "first state").happens(parameters.awake_at_start, size)
        known = self.people.came_day < 0
        self._state = np.where(known, np.where(awake & self._is_online, AWAKE, ASLEEP), ABSENT).astype(np.int8)
        self._awake_since = np.full(size, -_WEEK * 8, dtype=np.int16)
        self._shown_state = np.full(size, ABSENT, dtype=np.int8)
        self._woken_until = np.full(size, -1, dtype=np.int16)
        self._has_address = self.people.has_address.copy()
        self._agreed = self.people.consents.copy()
        self._left_day = np.full((channels, size), NEVER, dtype=np.int16)
        self._app_is_gone = np.zeros(size, dtype=bool)
        self._has_bought = np.zeros(size, dtype=bool)
        self._contacts = np.zeros((_WEEK, size), dtype=np.int16)
        self._week = np.zeros(size, dtype=np.int16)
        self._clicks: dict[int, list[Clicks]] = {}
        self._triggered: list[Sends] = []
        self._returns: dict[int, list[tuple[Ints, Ints]]] = {}
        self._numbers = dict.fromkeys(
            ("events", "caused events", "visits", "caused visits", "orders", "caused orders", "messages", "reactions"),
            0,
        )
        currencies = sorted({country.currency or "" for country in catalogue.COUNTRIES})
        self._currency = np.asarray([currencies.index(c.currency or "") for c in catalogue.COUNTRIES])[
            self.people.country
        ].astype(np.int8)
        #: What the shop knew before the first day.
        self.history = self._past()

    def _take_numbers(self, name: str, count: int) -> int:
        """The first of ``count`` numbers that nobody has yet."""
        first = self._numbers[name]
        self._numbers[name] = first + count
        return first

    def _add(self, tables: dict[str, Table]) -> None:
        """Let rows arrive when what they tell happens."""
        for dataset, table in tables.items():
            if rows_of(table):
                self._arrivals.add(dataset, table, table["at"])

    def _past(self) -> Day:
        """What the shop knew before the first day."""
        parameters, people = self.parameters, self.people
        old = np.flatnonzero(people.came_day < 0)
        self._add(profiles.signup(parameters, people, self.profiles, old))
        user, at = orders.past_orders(parameters, people)
        self._order(
            Draws(parameters.seed, "past baskets"),
            user,
            at,
            np.full(len(user), -1),
            np.zeros(len(user), dtype=bool),
            is_caused=False,
        )
        self._arrivals.add("subscriptions", *self._subscriptions.history())
        first = np.arange(catalogue.PRODUCTS)
        self._add({"products": self._product_rows(first, parameters.start - 90 * DAY)})
        self._add({"campaigns": self._campaign_rows()})
        tables = self._arrivals.take(HISTORY)
        return Day(HISTORY, parameters.date_of(HISTORY), tables)

    def _product_rows(self, product: Ints, at: int) -> Table:
        return filled(len(product), product=product, price=self._prices[product], at=at)

    def _campaign_rows(self) -> Table:
        """All campaigns, known before the first day; every sixth is renamed when it starts."""
        parameters = self.parameters
        number = np.arange(len(parameters.campaigns))
        starts = np.asarray([campaign.first for campaign in parameters.campaigns])
        ends = np.asarray([campaign.last for campaign in parameters.campaigns])
        is_marketing = np.asarray([campaign.message_class == "marketing" for campaign in parameters.campaigns])
        renamed = is_marketing & (number % 6 == 2)
        both = np.concatenate([number, number[renamed]])
        is_later = np.arange(len(both)) >= len(number)
        begins = parameters.start + starts[both] * DAY
        return {
            "campaign": both,
            "is_later": is_later.astype(np.int64),
            "starts": np.where(is_marketing[both], begins, -1),
            "ends": np.where(ends[both] < NEVER, parameters.start + ends[both] * DAY, -1),
            "updated": np.where(is_marketing[both], np.where(is_later, begins, begins - 30 * DAY), -1),
            "at": np.where(is_later, begins, parameters.start - 1),
        }

    def next_day(self, plan: Path | None = None) -> Day:
        """Live one day and return the rows that arrive on it.

        Without a plan the shop's own calendar is sent. ``plan`` is a Parquet file (see ``data.simulator.plan``): the
        marketing messages of this day are then exactly those, and what another team sends past it.
        """
        day = self.day
        if day >= self.parameters.days:
            raise ValueError(f"the world has only {self.parameters.days} days")
        self._live()
        self._belongings()
        own = self._own_visits()
        self._visit(own, Draws(self.parameters.seed, "own visits", day), is_caused=False)
        sends = self._calendar() if plan is None else self._planned(plan)
        self._send(sends)
        self._visit(self._caused_visits(), Draws(self.parameters.seed, "caused visits", day), is_caused=True)
        self._till()
        self._notices()
        self._send(messages.in_one(self._triggered))
        self._triggered = []
        self._note_states()
        self.day = day + 1
        return Day(day, self.parameters.date_of(day), self._arrivals.take(day))

    # people

    def _live(self) -> None:
        """Move everybody to the state of today."""
        day, people, state = self.day, self.people, self._state
        luck = Draws(self.parameters.seed, "states", day).uniform(people.count)
        comes = (people.seen_day == day) & (state == ABSENT)
        wakes = (state == ASLEEP) & (luck < self._rates["wakes"])
        sleeps = (state == AWAKE) & (luck < self._rates["falls_asleep"])
        leaves = (state != ABSENT) & (luck >= 1 - self._rates["leaves"])
        state[sleeps] = ASLEEP
        state[wakes] = AWAKE
        state[leaves] = GONE
        state[comes] = np.where(self._is_online[comes], AWAKE, ASLEEP)
        self._awake_since[comes | wakes] = day
        # The contacts of seven days ago leave the week.
        self._week -= self._contacts[day % _WEEK]
        self._contacts[day % _WEEK] = 0

    def _effective_state(self) -> NDArray[np.int8]:
        """The states of today: whom a click woke is awake for some days."""
        woken = (self._woken_until >= self.day) & (self._state == ASLEEP)
        return np.where(woken, AWAKE, self._state).astype(np.int8)

    def _note_states(self) -> None:
        state = self._effective_state()
        changed = np.flatnonzero(state != self._shown_state)
        self.truth.states.append((self.day, changed, state[changed]))
        self._shown_state = state

    def _belongings(self) -> None:
        """Sign-ups, and what people change by themselves in the shop's records."""
        day, parameters, people = self.day, self.parameters, self.people
        (new,) = self._agenda.comes.of(day)
        self._add(profiles.signup(parameters, people, self.profiles, new))
        with_app = new[people.platform[new] > 0]
        self._app_events("Application Installed", with_app, people.came[with_app] + _APP_AFTER, is_caused=False)
        changes = profiles.changes(parameters, people, self._agenda, self.profiles, day)
        self._add(changes.rows)
        self._left_day[changes.closed] = np.minimum(self._left_day[changes.closed], day)
        self._left_day[changes.opened] = NEVER
        self._agreed[changes.opened] = True
        self._has_address[changes.lost_address] = False
        erased = changes.erased
        # Who is erased gets nothing more, not even for the days that leaving takes to be respected.
        self._left_day[:, erased] = day - 1 - parameters.respect_delay_days
        self._state[erased[~people.goes_on[erased]]] = GONE
        (removes,) = self._agenda.uninstalls.of(day)
        removes = removes[(people.platform[removes] > 0) & people.is_in_records(removes, day)]
        noon = parameters.start + day * DAY + DAY // 2
        # Whom messages made remove the app before has none to remove.
        has_app = ~self._app_is_gone[removes]
        self._app_events("Application Uninstalled", removes, noon + removes % 3600, is_caused=False, happens=has_app)
        self._remove_app(removes)
        for channel, user in self._returns.pop(day, []):
            self._left_day[channel, user] = NEVER
            words = np.full(len(user), 1)
            self._add({"consents": profiles.consent_rows(user, channel, words, profiles.PREFERENCES, noon + user % 60)})
        self._arrivals.add("subscriptions", *self._subscriptions.next_day(day))
        dearer = catalogue.price_changes(day)
        self._prices = catalogue.dearer(self._prices, dearer)
        self._add({"products": self._product_rows(dearer, parameters.start + day * DAY)})

    def _remove_app(self, user: Ints) -> None:
        self._app_is_gone[user] = True
        for name in APP_CHANNELS:
            self._has_address[CHANNEL[name], user] = False

    def _app_events(
        self, name: str, user: Ints, at: Ints, is_caused: bool, happens: Flags | slice = slice(None)
    ) -> None:
        """Let people install or remove the app; those to whom it does not happen use up a number all the same."""
        first = self._take_numbers("caused events" if is_caused else "events", len(user))
        self._add({"events": taken(visits.app_event_rows(name, self.people, user, at, first, is_caused), happens)})

    # visits and orders

    def _own_visits(self) -> Visits:
        """Who comes by himself today: people who are awake, new people, strangers."""
        day, parameters, people = self.day, self.parameters, self.people
        draws = Draws(parameters.seed, "comes", day)
        midnight = parameters.start + day * DAY
        weeks = np.minimum((day - self._awake_since) // _WEEK, len(parameters.settling) - 1)
        weekday = parameters.weekday_visits[parameters.date_of(day).weekday()]
        chance = people.visit_rate * np.asarray(parameters.settling)[weeks] * weekday
        user = np.flatnonzero((self._state == AWAKE) & (draws.uniform(people.count) < chance))
        again = user[draws.happens(parameters.visits_again, len(user))]
        looks = np.flatnonzero((people.seen_day == day) & (people.came_day > day))
        anytime = np.concatenate([user, again, looks])
        signs_up = np.flatnonzero((people.came_day == day) & self._is_online)
        count = int(parameters.users * parameters.strangers)
        stranger = np.flatnonzero(draws.uniform(count) < parameters.stranger_visits)
        user = np.concatenate([anytime, signs_up, np.full(len(stranger), -1)])
        at = np.concatenate(
            [
                midnight + visits.times_of_day(draws, len(anytime)),
                people.came[signs_up] + 60,
                midnight + visits.times_of_day(draws, len(stranger)),
            ]
        )
        size = len(user)
        is_person = user >= 0
        has_account = is_person & (at >= people.came[user])
        # Whoever signs up in a visit is logged in by it.
        is_logged_in = has_account & (draws.happens(parameters.logs_in, size) | (at == people.came[user] + 60))
        platform = self._platform(user, draws.happens(0.6, size) & (at > people.came[user] + _APP_AFTER))
        device = np.where(platform > 0, app_device(user), web_device(people, user, day))
        device[~is_person] = stranger * DEVICES + STRANGER
        carries = ~is_logged_in | draws.happens(parameters.both_ids, size)
        buys = is_logged_in & (draws.uniform(size) < people.buy_rate[user] * self._seasonal(user))
        return Visits(
            user=user,
            at=at,
            device=np.where(carries, device, -1),
            platform=platform,
            is_logged_in=is_logged_in,
            buys=buys,
            product=visits.products(draws, parameters, people, user),
            campaign=np.full(size, -1),
            channel=np.full(size, -1),
        ).sorted()

    def _platform(self, user: Ints, wants_app: Flags) -> NDArray[np.int8]:
        """The platform of visits: the app for those who have it and want it, else the web."""
        has_app = wants_app & (user >= 0) & ~self._app_is_gone[user]
        return np.where(has_app, self.people.platform[user], 0).astype(np.int8)

    def _seasonal(self, user: Ints) -> NDArray[np.float64]:
        """What orders by visit are multiplied by in this month, by visit."""
        distance = np.abs(self.parameters.date_of(self.day).month - self.people.season[user])
        is_near = np.minimum(distance, 12 - distance) <= 1
        return np.where(is_near, self.parameters.in_season, self.parameters.off_season)

    def _caused_visits(self) -> Visits:
        """Visits that messages led to: clicks of today, and people whom a click woke some days ago."""
        day, parameters, people = self.day, self.parameters, self.people
        due = self._clicks.pop(day, [])
        columns = {
            name: np.concatenate([getattr(clicks, name) for clicks in due]) if due else np.zeros(0, dtype=np.int64)
            for name in ("user", "at", "campaign", "channel", "order_effect")
        }
        leads = Draws(parameters.seed, "click visits", day).happens(parameters.click_visits, len(columns["user"]))
        leads &= self._is_online[columns["user"]] & (self._state[columns["user"]] != GONE)
        columns = taken(columns, leads)
        clicked = columns["user"]
        wakes = Draws(parameters.seed, "wakes", day).keyed(clicked) < parameters.click_wakes
        sleeper = clicked[wakes & (self._state[clicked] == ASLEEP)]
        woken = np.flatnonzero((self._woken_until >= day) & (self._state == ASLEEP))
        woken = woken[Draws(parameters.seed, "woken", day).keyed(woken) < parameters.woken_visits]
        self._woken_until[sleeper] = day + parameters.woken_days
        draws = Draws(parameters.seed, "caused", day)
        times = parameters.start + day * DAY + visits.times_of_day(draws, len(woken))
        user = np.concatenate([clicked, woken])
        size = len(user)
        none = np.full(len(woken), -1)
        channel = np.concatenate([columns["channel"], none])
        by_app = np.isin(channel, [CHANNEL[name] for name in APP_CHANNELS])
        platform = self._platform(user, by_app)
        is_logged_in = draws.happens(parameters.logs_in, size)
        carries = ~is_logged_in | draws.happens(parameters.both_ids, size)
        device = np.where(platform > 0, app_device(user), web_device(people, user, day))
        effect = np.concatenate([columns["order_effect"] * parameters.click_buys, np.ones(len(woken))])
        chance = people.buy_rate[user] * self._seasonal(user) * effect
        return Visits(
            user=user,
            at=np.concatenate([columns["at"] + 5, times]),
            device=np.where(carries, device, -1),
            platform=platform,
            is_logged_in=is_logged_in,
            buys=is_logged_in & (draws.uniform(size) < chance),
            product=visits.products(draws, parameters, people, user),
            campaign=np.concatenate([columns["campaign"], none]),
            channel=channel,
        ).sorted()

    def _visit(self, made: Visits, draws: Draws, is_caused: bool) -> None:
        """Let visits happen: their orders, and their events."""
        prefix = "caused " if is_caused else ""
        buying = np.flatnonzero(made.buys)
        user, at = made.user[buying], made.at[buying] + ORDER_AFTER
        first, gross = self._order(
            Draws(self.parameters.seed, f"{prefix}baskets", self.day),
            user,
            at,
            made.product[buying],
            np.ones(len(buying), dtype=bool),
            is_caused,
        )
        order = np.full(made.count, -1)
        order[buying] = first + np.arange(len(buying))
        value = np.full(made.count, -1)
        value[buying] = gross
        first_event = self._numbers[f"{prefix}events"]
        first_visit = self._take_numbers(f"{prefix}visits", made.count)
        table, arrives = visits.event_rows(
            draws,
            self.parameters,
            made,
            order,
            value,
            self._prices,
            self._currency,
            (first_event, first_visit),
            is_caused,
        )
        self._take_numbers(f"{prefix}events", len(arrives))
        self._arrivals.add("events", table, arrives)
        self._confirm(user, at)

    def _order(
        self, draws: Draws, user: Ints, at: Ints, product: Ints, is_online: Flags, is_caused: bool
    ) -> tuple[int, Ints]:
        """Make orders; return the number of the first, and the gross amount (cents) of each."""
        first = self._take_numbers("caused orders" if is_caused else "orders", len(user))
        made = orders.make_orders(
            draws, self.parameters, self.people, self._prices, user, at, product, is_online, first, is_caused
        )
        self._arrivals.add("orders", made.versions, made.versions_arrive)
        self._arrivals.add("order_items", made.lines, made.lines_arrive)
        self._has_bought[user] = True
        return first, made.gross

    def _till(self) -> None:
        """Orders in the shop itself."""
        day, parameters, people = self.day, self.parameters, self.people
        rate = np.asarray([k.shop_orders for k in parameters.kinds])[people.kind[self._till_people]]
        draws = Draws(parameters.seed, "till", day)
        comes = draws.happens(rate, len(self._till_people)) & (people.came_day[self._till_people] < day)
        user = self._till_people[comes]
        user = user[self._state[user] != GONE]
        at = parameters.start + day * DAY + 9 * 3600 + draws.below(9 * 3600, len(user))
        none = np.full(len(user), -1)
        self._order(Draws(parameters.seed, "till baskets", day), user, at, none, none > 0, is_caused=False)

    # messages

    def _may_contact(self) -> Flags:
        """By channel and person: whom the calendar may contact today."""
        is_known = self.people.came_day < self.day
        has_not_left = self._left_day >= self.day - self.parameters.respect_delay_days
        return self._agreed & self._has_address & has_not_left & is_known

    def _calendar(self) -> Sends:
        """What the calendar sends today."""
        state = self._effective_state()
        audiences = {
            "all": np.ones(len(state), dtype=bool),
            "awake": state == AWAKE,
            "asleep": state >= ASLEEP,
            "buyers": self._has_bought,
        }
        campaigns = [(self.names.campaign(c.campaign_id), c) for c in self.parameters.calendar]
        codes = self.names.variant_codes(v.name for _, campaign in campaigns for v in campaign.variants)
        return messages.calendar_sends(
            self.parameters, self.people, campaigns, self.day, self._may_contact(), audiences, codes
        )

    def _planned(self, path: Path) -> Sends:
        """What the plan sends today, and what another team sends past it."""
        plan = read_plan(path, self.names, self.parameters.users)
        planned = messages.planned_sends(
            self.parameters, self.day, plan.user, plan.channel, plan.campaign, plan.variant, plan.message_class
        )
        if self.parameters.others <= 0:
            return planned
        calendar = self._calendar()
        return messages.in_one([planned, calendar.taken(calendar.is_other)])

    def _is_reachable(self, sends: Sends) -> Flags:
        """By message: whether a provider has somewhere to deliver it, and does not know that the person left."""
        where = (sends.channel, sends.user)
        has_left = self._left_day[where] < self.day - self.parameters.respect_delay_days
        return self._has_address[where] & ~has_left & (self.people.came_day[sends.user] <= self.day)

    def _effects(self, sends: Sends) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """By message: what its variant multiplies the chances of a click and of an order by."""
        known = {campaign.campaign_id: campaign.variants for campaign in self.parameters.campaigns}
        clicks, buys = np.ones(sends.count), np.ones(sends.count)
        for campaign in np.unique(sends.campaign[sends.variant >= 0]):
            variants = known.get(self.names.campaigns[int(campaign)], ())
            by_click, by_order = messages.effects(variants, self.parameters.plan_variants, self.names.variants)
            rows = np.flatnonzero((sends.campaign == campaign) & (sends.variant >= 0))
            clicks[rows] = by_click[sends.variant[rows]]
            buys[rows] = by_order[sends.variant[rows]]
        return clicks, buys

    def _send(self, sends: Sends) -> None:
        """Send messages of today, let people react, and note what follows."""
        day, parameters, people = self.day, self.parameters, self.people
        where = (sends.channel, sends.user)
        delivery = messages.deliver(parameters, people, sends, day, self._is_reachable(sends))
        is_contact = delivery.arrives & (sends.message_class == MARKETING)
        self._count(sends.user[is_contact])
        contacts = self._week[sends.user].astype(np.int64)
        click_effect, order_effect = self._effects(sends)
        reactions = messages.react(
            parameters,
            people,
            sends,
            day,
            delivery.arrives,
            self._effective_state()[sends.user],
            contacts,
            click_effect,
        )
        leaving = messages.leave(
            parameters, people, sends, day, is_contact, contacts, self._agreed[where], self._left_day[where] == NEVER
        )
        first = self._take_numbers("messages", sends.count)
        table, lateness = messages.message_rows(parameters, sends, first, day)
        self._arrivals.add("messages", table, sends.at + lateness)
        events, message = messages.reaction_rows(
            parameters, people, sends, day, table["number"], delivery, reactions, leaving
        )
        if len(message):
            events["number"] = self._take_numbers("reactions", len(message)) + np.arange(len(message))
            self._arrivals.add("message_events", events, events["at"] + lateness[message])
        bounced = sends.user[delivery.bounces_hard]
        self._has_address[_EMAIL, bounced[Draws(parameters.seed, "gives up", day).keyed(bounced) < 0.5]] = False
        self._keep_clicks(sends, reactions, order_effect)
        self._let_go(sends, reactions, leaving)
        self._note_contacts(sends, is_contact, contacts, leaving, first)

    def _count(self, user: Ints) -> None:
        """Add contacts of today to those of the week."""
        if len(user):
            today = np.bincount(user, minlength=self.people.count).astype(np.int16)
            self._contacts[self.day % _WEEK] += today
            self._week += today

    def _keep_clicks(self, sends: Sends, reactions: messages.Reactions, order_effect: NDArray[np.float64]) -> None:
        """Keep clicks for the day on which they happen."""
        rows = np.flatnonzero(reactions.clicks)
        at = sends.at[rows] + reactions.waits[rows] + 30
        day = (at - self.parameters.start) // DAY
        for number in np.unique(day).tolist():
            chosen = rows[day == number]
            self._clicks.setdefault(max(number, self.day), []).append(
                Clicks(
                    sends.user[chosen],
                    at[day == number],
                    sends.campaign[chosen],
                    sends.channel[chosen],
                    order_effect[chosen],
                )
            )

    def _let_go(self, sends: Sends, reactions: messages.Reactions, leaving: messages.Leaving) -> None:
        """Close the channels that people left today, and write what the shop gets to know of it."""
        day, parameters = self.day, self.parameters
        goes = leaving.way != messages.STAYS
        if not goes.any():
            return
        message, way = leaving.message[goes], leaving.way[goes]
        user, channel = sends.user[message], sends.channel[message]
        at = messages.leave_times(sends, leaving, reactions, day, parameters)[goes]
        self._left_day[channel, user] = day
        luck = Draws(parameters.seed, "leaves how", day).keyed(user * len(CHANNEL) + channel)
        is_written = (way != messages.BY_SWITCH) & (luck < parameters.logs_withdrawal)
        unsubscribed = profiles.CONSENT_WORDS.index("unsubscribed")
        parts = np.asarray(parameters.switch_off_ways).cumsum() / sum(parameters.switch_off_ways)
        is_switch = way == messages.BY_SWITCH
        has_token = np.isin(channel, [CHANNEL[name] for name in TOKEN_CHANNELS])
        has_app = np.isin(channel, [CHANNEL[name] for name in APP_CHANNELS])
        withdraws = is_switch & (luck < parts[0])
        removes = is_switch & has_app & (luck >= parts[1])
        invalid = is_switch & has_token & ~withdraws & ~removes
        withdraws |= is_switch & ~removes & ~invalid
        for rows, source in ((is_written, profiles.PROVIDER), (withdraws, profiles.DEVICE)):
            word = unsubscribed if source == profiles.PROVIDER else len(profiles.GRANTS)
            words = np.full(int(rows.sum()), word)
            self._add({"consents": profiles.consent_rows(user[rows], channel[rows], words, source, at[rows] + 1)})
        self._add(
            {
                "addresses": profiles.address_rows(
                    self.people, user[invalid], channel[invalid], False, False, at[invalid]
                )
            }
        )
        self._has_address[channel[invalid], user[invalid]] = False
        removes &= ~self._app_is_gone[user]
        self._app_events("Application Uninstalled", user[removes], at[removes], is_caused=True)
        self._remove_app(user[removes])
        back = np.flatnonzero((way == messages.BY_UNSUBSCRIBE) & (luck >= 1 - parameters.comes_back))
        wait = 20 + user[back] % 41
        for number in np.unique(wait).tolist():
            chosen = back[wait == number]
            self._returns.setdefault(day + number, []).append((channel[chosen], user[chosen]))
        everything = self._agreed[:, user] & self._has_address[:, user] & (self._left_day[:, user] == NEVER)
        self.truth.lost_day[user[~everything.any(axis=0)]] = day

    def _note_contacts(
        self, sends: Sends, is_contact: Flags, contacts: Ints, leaving: messages.Leaving, first: int
    ) -> None:
        """Keep the truth about the contacts of today."""
        chance = np.full(sends.count, -1.0)
        way = np.zeros(sends.count, dtype=np.int8)
        chance[leaving.message] = leaving.chance
        way[leaving.message] = leaving.way
        rows = np.flatnonzero(is_contact)
        if len(rows):
            self.truth.contacts.append(
                {
                    "message": first + rows,
                    "user": sends.user[rows],
                    "channel": sends.channel[rows].astype(np.int8),
                    "day": np.full(len(rows), self.day, dtype=np.int16),
                    "contacts": contacts[rows].astype(np.int16),
                    "chance": chance[rows],
                    "way": way[rows],
                }
            )

    def _confirm(self, user: Ints, at: Ints) -> None:
        """Confirm orders by email, and say by sms that they are on their way, to some."""
        by_email = self._has_address[_EMAIL, user]
        by_sms = self._has_address[_SMS, user] & (user % 3 == 0)
        confirmed, shipped = self.names.campaign("order_confirmation"), self.names.campaign("order_shipped")
        self._triggered += [
            messages.triggered_sends(user[by_email], "email", confirmed, TRANSACTIONAL, at[by_email] + 60),
            messages.triggered_sends(user[by_sms], "sms", shipped, TRANSACTIONAL, at[by_sms] + DAY),
        ]

    def _notices(self) -> None:
        """Tell a few people something about their account."""
        day, parameters = self.day, self.parameters
        luck = Draws(parameters.seed, "notices", day).uniform(self.people.count)
        may_be_told = self._has_address[_EMAIL] & (self.people.came_day < day) & (self.people.erasure_day >= day)
        user = np.flatnonzero((luck < parameters.notices) & may_be_told)
        at = parameters.start + day * DAY + 11 * 3600 + user % 3600
        notice = self.names.campaign("account_notice")
        self._triggered.append(messages.triggered_sends(user, "email", notice, SERVICE, at))
