"""What people are sent, and what they do about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.simulator.behaviour import Orders
from data.simulator.catalogue import Campaign, campaigns
from data.simulator.draws import Draws, Flags, Ints
from data.simulator.parameters import CHANNELS, DAY, TRAFFIC, Parameters
from data.simulator.people import People, anonymous_id, user_id
from data.simulator.rows import Record, Row, Tables, row

_LABELS = (["promo"], ["news", "weekly"], ["test"])
_READ_CHANNELS = frozenset({"whatsapp", "telegram", "viber", "in_app"})


@dataclass(frozen=True)
class Sends:
    """One entry a marketing message. ``contacts`` counts those of its day and the 6 days before it."""

    day: Ints
    user: Ints
    channel: Ints
    contacts: Ints
    unsubscribes: Flags
    complains: Flags


def make_sends(parameters: Parameters, people: People) -> Sends:
    """Send day by day; who has had too much leaves the channel, and a dead mailbox is given up."""
    draws = Draws(parameters.seed, "sends")
    open_to = people.consents & people.reachable
    shape = (len(TRAFFIC), people.count)
    counts = np.zeros((parameters.days, people.count), dtype=np.int64)
    parts: list[tuple[Ints, ...]] = []
    for day in range(parameters.days):
        weekday = parameters.date_of(day).weekday()
        known = people.created < parameters.start + day * DAY
        chance = np.asarray([traffic.sends[weekday] for traffic in TRAFFIC])[:, None] * people.pressure
        sent = open_to & known & (draws.uniform(*shape) < chance)
        counts[day] = sent.sum(axis=0)
        recent = counts[max(day - 6, 0) : day + 1].sum(axis=0)
        annoyance = 1 + parameters.fatigue * recent
        leaves = np.asarray([traffic.unsubscribes for traffic in TRAFFIC])[:, None] * annoyance
        complains = np.asarray([traffic.complains for traffic in TRAFFIC])[:, None] * annoyance
        luck = draws.uniform(*shape)
        unsubscribed = sent & (luck < leaves)
        complained = sent & (luck >= 1 - complains)
        lost = unsubscribed | complained
        lost[0] |= sent[0] & people.email_is_dead & (draws.uniform(people.count) < 0.5)
        open_to = open_to & ~lost
        channel, user = np.nonzero(sent)
        parts.append(
            (
                np.full(len(user), day),
                user,
                channel,
                recent[user],
                unsubscribed[channel, user],
                complained[channel, user],
            )
        )
    day_, user_, channel_, contacts, out, spam = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Sends(day_, user_, channel_, contacts, out.astype(bool), spam.astype(bool))


def message_tables(parameters: Parameters, people: People, orders: Orders) -> Tables:
    """Messages, their events, the consents they cost and the visits that clicks on them bring."""
    draws = Draws(parameters.seed, "messages")
    sends = make_sends(parameters, people)
    size = len(sends.user)
    sent_at = (
        parameters.start + sends.day * DAY + (8 + draws.below(11, size)) * 3600 + draws.below(3600, size)
    ).tolist()
    running = _running_campaigns(parameters)
    luck = draws.uniform(8, size).tolist()
    late = np.where(draws.happens(parameters.late_share, size), DAY + draws.below(6 * DAY, size), 0).tolist()
    fade = (1 / (1 + 0.08 * sends.contacts)).tolist()
    log = _Log(parameters, people)
    columns = (sends.day, sends.user, sends.channel, sends.unsubscribes, sends.complains)
    for number, (day, user, channel, leaves, complains) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True)
    ):
        dice = [column[number] for column in luck]
        choice = running[channel][day]
        campaign = choice[int(dice[0] * len(choice))]
        providers = TRAFFIC[channel].providers
        provider = providers[user % len(providers)]
        message = row(
            message_id="",
            user_id=user_id(user),
            channel=CHANNELS[channel],
            provider=provider,
            campaign_id=campaign.campaign_id,
            variant="AB"[(user * 7 + len(campaign.name)) % 11 % 2] if campaign.has_variants else None,
            message_class="marketing" if provider != "brevo" else None,
            labels=_LABELS[user % 3] if number % 6 == 0 else None,
            sent_at=sent_at[number],
        )
        log.add(message, user, channel, dice[1:], fade[number], late[number], leaves, complains)
    _add_service(parameters, people, orders, draws, log)
    return log.tables()


def _running_campaigns(parameters: Parameters) -> list[list[list[Campaign]]]:
    """By channel and day, the campaigns that run."""
    every = campaigns(parameters)
    return [
        [[c for c in every if c.channel == name and c.first <= day < c.last] for day in range(parameters.days)]
        for name in CHANNELS
    ]


def _add_service(parameters: Parameters, people: People, orders: Orders, draws: Draws, log: _Log) -> None:
    """Confirm every order made online; tell a few people about their account."""
    online = np.flatnonzero((orders.visit >= 0) & people.reachable[0][orders.user])
    noticed = np.flatnonzero(people.reachable[0] & draws.happens(0.08, people.count))
    notices = np.maximum(people.created[noticed], parameters.start) + DAY // 2
    noticed, notices = noticed[notices < parameters.end], notices[notices < parameters.end]
    who = np.concatenate([orders.user[online], noticed]).tolist()
    when = np.concatenate([orders.at[online] + 60, notices]).tolist()
    luck = draws.uniform(7, len(who)).tolist()
    for number, (user, at) in enumerate(zip(who, when, strict=True)):
        confirms = number < len(online)
        message = row(
            message_id="",
            user_id=user_id(user),
            channel="email",
            provider="sendgrid",
            campaign_id="order_confirmation" if confirms else "account_notice",
            message_class="transactional" if confirms else "service",
            sent_at=at,
        )
        log.add(message, user, 0, [column[number] for column in luck], 2.0, 0, False, False)


class _Log:
    """Collects messages with what follows each of them."""

    def __init__(self, parameters: Parameters, people: People) -> None:
        self._end = parameters.end
        self._people = people
        self._messages: list[Record] = []
        self._events: list[tuple[int, int, Row, Row]] = []
        self._consents: list[Record] = []
        self._visits: list[Record] = []

    def add(
        self,
        message: Row,
        user: int,
        channel: int,
        dice: list[float],
        fade: float,
        late: int,
        leaves: bool,
        complains: bool,
    ) -> None:
        """Add a message, its reactions and their consequences."""
        traffic, sent_at = TRAFFIC[channel], message["sent_at"]
        self._messages.append((sent_at, message))
        if traffic.name == "email" and self._people.email_is_dead[user]:
            self._react(message, "bounced", sent_at + 20, late, bounce_type="hard")
            return
        if dice[0] < 0.006:
            self._react(message, "failed", sent_at + 5, late)
            return
        if dice[0] < 0.02 and traffic.name in ("email", "sms"):
            self._react(message, "bounced", sent_at + 30, late, bounce_type="soft")
            if dice[0] < 0.012:
                return
        if dice[1] < 0.9:
            self._react(message, "delivered", sent_at + 40 + int(dice[1] * 300), late)
        if traffic.name == "email" and self._people.machine_opens[user] and dice[2] < 0.8:
            self._react(message, "opened", sent_at + 60 + int(dice[2] * 900), late, is_machine_open=True)
        waits = 120 + int(dice[4] * dice[4] * dice[4] * 3 * DAY)
        seen = dice[3] < traffic.opens * self._people.opens[user] * fade
        if seen:
            self._react(message, "read" if traffic.name in _READ_CHANNELS else "opened", sent_at + waits, late)
        elif dice[3] > 0.9985 and traffic.name == "email":
            self._react(message, "clicked", sent_at + 50, late, is_machine=True)
        base = traffic.clicks if seen or not traffic.opens else 0.0
        if dice[5] < base:
            self._click(message, user, sent_at + waits + 30, late)
        elif dice[5] > 0.985 and traffic.name in ("sms", "whatsapp"):
            self._react(message, "replied", sent_at + waits + 90, late)
        for happens, name in ((leaves, "unsubscribed"), (complains, "complained")):
            if happens:
                self._react(message, name, sent_at + waits + 60, late)
                self._withdraw(message, sent_at + waits + 61, dice[6])

    def _react(self, message: Row, event: str, at: int, late: int, **details: object) -> None:
        """Note a reaction, unless it would come after the last day."""
        if at < self._end:
            reaction = row(event_id="", message_id="", event=event, occurred_at=at, **details)
            self._events.append((at + late, at, reaction, message))

    def _click(self, message: Row, user: int, at: int, late: int) -> None:
        """Note a click, and the page that it leads to for people who visit the shop."""
        campaign = message["campaign_id"]
        self._react(
            message,
            "clicked",
            at,
            late,
            link_url=f"https://shop.example.com/{campaign}" if user % 2 else None,
        )
        if at + 5 < self._end and self._people.visit_rate[user] > 0:
            landing = row(
                event_id="",
                anonymous_id=anonymous_id(user, False),
                user_id=user_id(user) if user % 3 else None,
                event="page",
                timestamp=at + 5,
                platform="web",
                properties={"utm_medium": message["channel"], "utm_campaign": campaign},
            )
            self._visits.append((at + 6, landing))

    def _withdraw(self, message: Row, at: int, luck: float) -> None:
        """Most providers also write the withdrawal into the consents."""
        if at < self._end and luck < 0.7:
            who = {"user_id": message["user_id"], "channel": message["channel"]}
            self._consents.append((at, row(**who, status="unsubscribed", source=message["provider"], occurred_at=at)))

    def tables(self) -> Tables:
        """Number everything in the order of time and hand it over."""
        self._messages.sort(key=lambda record: record[0])
        for number, (_, message) in enumerate(self._messages):
            assert isinstance(message, dict)
            message["message_id"] = f"m{number:06d}"
        self._events.sort(key=lambda record: record[:2])
        events: list[Record] = []
        for number, (arrives, _, reaction, message) in enumerate(self._events):
            reaction["event_id"] = f"r{number:06d}"
            reaction["message_id"] = message["message_id"]
            events.append((arrives, reaction))
        for number, (_, landing) in enumerate(self._visits):
            assert isinstance(landing, dict)
            landing["event_id"] = f"c{number:06d}"
        return {
            "messages": self._messages,
            "message_events": events,
            "consents": self._consents,
            "events": self._visits,
        }
