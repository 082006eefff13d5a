"""Messages: what is sent on a day, what people do about it, and whom it drives off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.draws import Draws, Flags, Floats, Ints
from data.simulator.parameters import CHANNEL, DAY, Campaign, Parameters, Variant
from data.simulator.people import People, spread
from data.simulator.tables import Table, filled, joined

MESSAGE_CLASSES = ("marketing", "transactional", "service")
MARKETING, TRANSACTIONAL, SERVICE = range(len(MESSAGE_CLASSES))
REACTIONS = (
    "delivered", "opened", "clicked", "read", "replied", "bounced", "failed", "complained", "unsubscribed",
)  # fmt: skip
_DELIVERED, _OPENED, _CLICKED, _READ, _REPLIED, _BOUNCED, _FAILED, COMPLAINED, UNSUBSCRIBED = range(len(REACTIONS))
BOUNCE_TYPES = ("hard", "soft")
_HARD, _SOFT = range(len(BOUNCE_TYPES))
#: Lists of labels; a message of another team says so.
LABELS = (("promo",), ("news", "weekly"), ("test",), ("other_team",))
_OTHER_TEAM = len(LABELS) - 1
#: Position of the providers of triggered messages, behind those of the channel.
SENDGRID, OWN = -1, -2

#: How somebody leaves a channel, or not.
STAYS, BY_UNSUBSCRIBE, BY_COMPLAINT, BY_SWITCH = range(4)
_CAMPAIGNS_PER_KEY = 4096


@dataclass(frozen=True)
class Sends:
    """One entry a message, codes in all; ``variant`` is -1 without a test, ``provider`` one of the channel's."""

    user: Ints
    channel: Ints
    campaign: Ints
    variant: Ints
    message_class: Ints
    provider: Ints
    #: Seconds since 1970.
    at: Ints
    #: Whether it is sent past the plan, by another team.
    is_other: Flags

    @property
    def count(self) -> int:
        """How many messages there are."""
        return len(self.user)

    def taken(self, rows: NDArray[np.generic]) -> Sends:
        """Some of the messages."""
        return Sends(**{name: values[rows] for name, values in vars(self).items()})


def in_one(parts: Sequence[Sends]) -> Sends:
    """All messages of several lists."""
    return Sends(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})


def variant_of(parameters: Parameters, campaign: int, variants: int, user: Ints) -> Ints:
    """The variant of a campaign that each person always gets: equally many each."""
    luck = Draws(parameters.seed, "variants").keyed(user * _CAMPAIGNS_PER_KEY + campaign)
    return (luck * variants).astype(np.int64)


def effects(variants: Sequence[Variant], unknown: Sequence[Variant], names: Sequence[str]) -> tuple[Floats, Floats]:
    """What each named variant multiplies clicks and orders by: as the campaign says, else as ``unknown`` does."""
    known = {variant.name: variant for variant in (*unknown, *variants)}
    chosen = [known.get(name, Variant(name)) for name in names]
    return np.asarray([v.clicks for v in chosen]), np.asarray([v.orders for v in chosen])


def calendar_sends(
    parameters: Parameters,
    people: People,
    campaigns: Sequence[tuple[int, Campaign]],
    day: int,
    may_contact: Flags,
    audiences: dict[str, Flags],
    variant_codes: dict[str, int],
) -> Sends:
    """What the shop's own calendar sends on a day: each campaign to everybody who matches.

    ``may_contact`` is by channel and person, ``audiences`` by name and person.
    """
    weekday = parameters.date_of(day).weekday()
    parts = []
    for code, campaign in campaigns:
        if weekday not in campaign.weekdays or not campaign.first <= day < campaign.last:
            continue
        channel = CHANNEL[campaign.channel]
        matches = may_contact[channel] & audiences[campaign.audience] & (people.level >= campaign.level)
        user = np.flatnonzero(matches)
        names = np.asarray([variant_codes[variant.name] for variant in campaign.variants] or [-1])
        chosen = variant_of(parameters, code, max(len(campaign.variants), 1), user)
        others = Draws(parameters.seed, "others", day).keyed(user * _CAMPAIGNS_PER_KEY + code)
        parts.append(_sends(parameters, day, user, channel, code, names[chosen], MARKETING, campaign.hour, others))
    return in_one(parts) if parts else no_sends()


def _sends(
    parameters: Parameters,
    day: int,
    user: Ints,
    channel: Ints | int,
    campaign: Ints | int,
    variant: Ints | int,
    message_class: Ints | int,
    hour: int,
    others: Floats | None = None,
) -> Sends:
    size = len(user)
    columns = filled(size, channel=channel, campaign=campaign, variant=variant, message_class=message_class)
    keys = _keys(user, columns["channel"], columns["campaign"])
    spread_out = (Draws(parameters.seed, "sent", day).keyed(keys) * 7200).astype(np.int64)
    providers = np.asarray([len(channel.providers) for channel in parameters.channels])
    is_other = np.zeros(size, dtype=bool) if others is None else others < parameters.others
    return Sends(
        user=user,
        provider=np.where(is_other, OWN, user % providers[columns["channel"]]),
        at=parameters.start + day * DAY + hour * 3600 + spread_out,
        is_other=is_other,
        **columns,
    )


def planned_sends(
    parameters: Parameters, day: int, user: Ints, channel: Ints, campaign: Ints, variant: Ints, message_class: Ints
) -> Sends:
    """What a plan sends on a day, from nine in the morning."""
    return _sends(parameters, day, user, channel, campaign, variant, message_class, 9)


def triggered_sends(user: Ints, channel: str, campaign: int, message_class: int, at: Ints) -> Sends:
    """Messages that follow from what people do."""
    columns = filled(
        len(user),
        channel=CHANNEL[channel],
        campaign=campaign,
        variant=-1,
        message_class=message_class,
        provider=SENDGRID if channel == "email" else 0,
    )
    return Sends(user=user, at=at, is_other=np.zeros(len(user), dtype=bool), **columns)


def no_sends() -> Sends:
    """Nothing."""
    return triggered_sends(np.zeros(0, dtype=np.int64), "email", 0, MARKETING, np.zeros(0, dtype=np.int64))


def _keys(user: Ints, channel: Ints, campaign: Ints) -> Ints:
    """A number for each message of a day that does not depend on what else is sent."""
    return (user * len(CHANNEL) + channel) * _CAMPAIGNS_PER_KEY + campaign


@dataclass(frozen=True)
class Delivery:
    """Which messages fail, bounce and arrive."""

    fails: Flags
    bounces_hard: Flags
    bounces_softly: Flags
    arrives: Flags


def deliver(parameters: Parameters, people: People, sends: Sends, day: int, is_reachable: Flags) -> Delivery:
    """Say what becomes of each message before anybody sees it; ``is_reachable`` is by message."""
    luck = Draws(parameters.seed, "delivery", day).keyed(_keys(sends.user, sends.channel, sends.campaign))
    fails_at = _of_channel(parameters, "fails")[sends.channel]
    soft = _of_channel(parameters, "bounces_softly")[sends.channel]
    is_dead = people.mailbox_is_dead[people.mailbox[sends.user]] & (sends.channel == CHANNEL["email"])
    fails = ~is_reachable | (~is_dead & (luck < fails_at))
    bounces_hard = is_dead & ~fails
    bounces_softly = ~fails & ~bounces_hard & (luck < fails_at + soft)
    lost = bounces_softly & (luck >= fails_at + soft * parameters.soft_bounces_arrive)
    return Delivery(fails, bounces_hard, bounces_softly, ~fails & ~bounces_hard & ~lost)


def _of_channel(parameters: Parameters, name: str) -> Floats:
    return np.asarray([getattr(channel, name) for channel in parameters.channels], dtype=np.float64)


@dataclass(frozen=True)
class Reactions:
    """What people do with messages that arrive: ``waits`` is the seconds until they look."""

    opens: Flags
    clicks: Flags
    replies: Flags
    waits: Ints


def react(
    parameters: Parameters,
    people: People,
    sends: Sends,
    day: int,
    arrives: Flags,
    state: NDArray[np.int8],
    contacts: Ints,
    click_effect: Floats,
) -> Reactions:
    """Say who opens, clicks and replies; ``state``, ``contacts`` (of 7 days) and ``click_effect`` are by message."""
    keys = _keys(sends.user, sends.channel, sends.campaign)

    def luck(name: str) -> Floats:
        return Draws(parameters.seed, name, day).keyed(keys)

    taste = spread(parameters.tastes, people.tastes[sends.channel, sends.user])
    attention = np.asarray([0.0, *parameters.attention])[state]
    opens_at = _of_channel(parameters, "opens")[sends.channel]
    can_be_seen = opens_at > 0
    # Who ordered something wants to read about it.
    urgent = np.where(sends.message_class == MARKETING, 1.0, 2.0)
    opens = arrives & can_be_seen & (luck("opens") < np.minimum(opens_at * taste * attention * urgent, 0.95))
    fatigue = np.asarray(parameters.click_fatigue)[np.minimum(contacts, len(parameters.click_fatigue) - 1)]
    chance = _of_channel(parameters, "clicks")[sends.channel] * click_effect * fatigue
    chance = np.where(can_be_seen, chance, chance * taste * attention)
    is_marketing = sends.message_class == MARKETING
    clicks = np.where(can_be_seen, opens, arrives) & is_marketing & (luck("clicks") < chance)
    replies = arrives & ~clicks & (luck("replies") < _of_channel(parameters, "replies")[sends.channel] * taste)
    wait = luck("waits")
    return Reactions(opens, clicks, replies, 120 + (wait * wait * wait * (3 * DAY)).astype(np.int64))


@dataclass(frozen=True)
class Leaving:
    """Whom the contacts of a day drive off a channel, one entry a (person, channel) with a contact."""

    #: Position of the message that is listed last of those to the person on the channel that day.
    message: Ints
    #: The chance (0 to 1) with which the day made the person leave.
    chance: Floats
    #: STAYS, or how the person leaves.
    way: NDArray[np.int8]


def leave(
    parameters: Parameters,
    people: People,
    sends: Sends,
    day: int,
    counts: Flags,
    contacts: Ints,
    is_asked: Flags,
    may_leave: Flags,
) -> Leaving:
    """Draw who leaves. ``counts``: is a contact; ``contacts``: of 7 days; the flags are by message.

    The chance is base(channel) x sensitivity(person) x growth(contacts of the 7 days up to and with today).
    """
    rows = np.flatnonzero(counts & may_leave)
    key = sends.user[rows] * len(CHANNEL) + sends.channel[rows]
    order = np.argsort(key, kind="stable")
    rows, key = rows[order], key[order]
    is_last = np.ones(len(rows), dtype=bool)
    is_last[:-1] = key[1:] != key[:-1]
    rows, key = rows[is_last], key[is_last]
    user, channel = sends.user[rows], sends.channel[rows]
    growth = np.asarray(parameters.growth)[np.minimum(contacts[rows], len(parameters.growth) - 1)]
    factor = spread(parameters.sensitivities, people.sensitivity[user]) * growth
    factor = np.where(is_asked[rows], factor, factor * parameters.unasked)
    unsubscribes = _of_channel(parameters, "unsubscribes")[channel] * factor
    complains = _of_channel(parameters, "complains")[channel] * factor
    switches = _of_channel(parameters, "switches_off")[channel] * factor
    luck = Draws(parameters.seed, "leaves", day).keyed(key)
    way = np.full(len(rows), STAYS, dtype=np.int8)
    way[luck < unsubscribes + complains + switches] = BY_SWITCH
    way[luck < unsubscribes + complains] = BY_COMPLAINT
    way[luck < unsubscribes] = BY_UNSUBSCRIBE
    return Leaving(rows, np.minimum(unsubscribes + complains + switches, 1.0), way)


def message_rows(parameters: Parameters, sends: Sends, first: int, day: int) -> tuple[Table, Ints]:
    """Rows of messages, numbered from ``first``, and how late (seconds) the log of each arrives."""
    number = first + np.arange(sends.count)
    labels = np.where(number % 6 == 0, sends.user % _OTHER_TEAM, -1)
    table: Table = {
        "number": number,
        "user": sends.user.astype(np.int32),
        "channel": sends.channel.astype(np.int8),
        "provider": sends.provider.astype(np.int8),
        "campaign": sends.campaign.astype(np.int16),
        "variant": sends.variant.astype(np.int16),
        "message_class": sends.message_class.astype(np.int8),
        "labels": np.where(sends.is_other, _OTHER_TEAM, labels).astype(np.int8),
        "at": sends.at,
    }
    luck = Draws(parameters.seed, "late logs", day).keyed(_keys(sends.user, sends.channel, sends.campaign))
    late = luck / parameters.late_messages if parameters.late_messages else luck + 1
    return table, np.where(late < 1, DAY + (late * 2 * DAY).astype(np.int64), 0)


def reaction_rows(
    parameters: Parameters,
    people: People,
    sends: Sends,
    day: int,
    numbers: Ints,
    delivery: Delivery,
    reactions: Reactions,
    leaving: Leaving,
) -> tuple[Table, Ints]:
    """Rows of message events (not yet numbered), and the position of each one's message."""
    keys = _keys(sends.user, sends.channel, sends.campaign)
    logged = Draws(parameters.seed, "logged", day).keyed(keys)
    machine = Draws(parameters.seed, "machines", day).keyed(keys)
    is_email = sends.channel == CHANNEL["email"]
    by_machine = is_email & delivery.arrives & people.machine_opens[sends.user] & (machine < parameters.machine_opens)
    machine_clicks = is_email & delivery.arrives & (machine >= 1 - parameters.machine_clicks)
    says_read = np.asarray([channel.says_read for channel in parameters.channels])[sends.channel]
    looks = sends.at + reactions.waits
    parts: list[Table] = []

    def add(event: Ints | int, rows: Flags | Ints, at: Ints, **details: Ints | int) -> None:
        where = np.flatnonzero(rows) if rows.dtype == bool else rows
        codes = {name: values[where] if isinstance(values, np.ndarray) else values for name, values in details.items()}
        event = event[where] if isinstance(event, np.ndarray) else event
        columns = {"is_machine_open": -1, "is_machine": -1, "bounce_type": -1, "link": -1} | codes
        parts.append(filled(len(where), message=where, event=event, at=at[where], **columns))

    add(_FAILED, delivery.fails, sends.at + 5)
    add(_BOUNCED, delivery.bounces_hard, sends.at + 20, bounce_type=_HARD)
    add(_BOUNCED, delivery.bounces_softly, sends.at + 30, bounce_type=_SOFT)
    arrived = sends.at + 40 + (logged * 300).astype(np.int64)
    must_be_logged = delivery.bounces_softly
    logs = _of_channel(parameters, "logs_delivery")[sends.channel]
    add(_DELIVERED, delivery.arrives & (must_be_logged | (logged < logs)), arrived)
    add(_OPENED, by_machine, sends.at + 60 + (machine * 900).astype(np.int64), is_machine_open=1)
    add(np.where(says_read, _READ, _OPENED), reactions.opens, looks)
    add(_CLICKED, machine_clicks, sends.at + 50, is_machine=1)
    add(_CLICKED, reactions.clicks, looks + 30, link=np.where(sends.user % 2 > 0, sends.campaign, -1))
    add(_REPLIED, reactions.replies, looks + 90)
    leaves = leave_times(sends, leaving, reactions, day, parameters)
    for way, event in ((BY_UNSUBSCRIBE, UNSUBSCRIBED), (BY_COMPLAINT, COMPLAINED)):
        chosen = leaving.way == way
        if chosen.any():
            whole = np.zeros(sends.count, dtype=np.int64)
            whole[leaving.message[chosen]] = leaves[chosen]
            add(event, leaving.message[chosen], whole)
    table = joined(parts)
    position = table.get("message", np.zeros(0, dtype=np.int64))
    small = dict.fromkeys(("event", "is_machine_open", "is_machine", "bounce_type"), np.int8)
    table = {name: values.astype(small.get(name, np.int64)) for name, values in table.items()}
    if table:
        table["message"] = numbers[position]
    return table, position


def leave_times(sends: Sends, leaving: Leaving, reactions: Reactions, day: int, parameters: Parameters) -> Ints:
    """When (seconds) people leave: after they looked, on the day of the contact."""
    at = sends.at[leaving.message] + reactions.waits[leaving.message] + 60
    return np.minimum(at, parameters.start + (day + 1) * DAY - 120)
