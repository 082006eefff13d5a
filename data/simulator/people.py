"""The people: who they are, what they do by themselves, and how they can be reached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data.simulator.catalogue import CATEGORIES, COUNTRIES
from data.simulator.draws import Draws, Flags, Floats, Ints
from data.simulator.parameters import (
    APP_CHANNELS,
    CHANNEL,
    DAY,
    NEVER,
    PHONE_CHANNELS,
    TOKEN_CHANNELS,
    Parameters,
)

#: States of a person.
ABSENT, AWAKE, ASLEEP, GONE = range(4)
STATES = ("absent", "awake", "asleep", "gone")

#: What an anonymous id is of: codes are a number times this, plus the kind of device.
DEVICES = 4
WEB, APP, SECOND_WEB, STRANGER = range(DEVICES)

Days = NDArray[np.int16]


@dataclass(frozen=True)
class People:
    """One entry a person in every array; those by channel have a row a channel.

    Times are seconds since 1970, days are numbers of which the first day is 0, and NEVER is a day that never comes.
    """

    kind: NDArray[np.int8]
    came: Ints
    came_day: Ints
    #: The first day on the site; earlier than ``came_day`` for those who look around before they sign up.
    seen_day: Ints
    country: NDArray[np.int8]
    platform: NDArray[np.int8]
    visit_rate: Floats
    buy_rate: Floats
    basket: NDArray[np.int8]
    favourite: NDArray[np.int8]
    season: NDArray[np.int8]
    level: NDArray[np.int8]
    sensitivity: NDArray[np.int8]
    tastes: NDArray[np.int8]
    machine_opens: Flags
    mailbox_is_dead: Flags
    #: The person whose device, mailbox, telephone it is: mostly one's own.
    web_owner: Ints
    mailbox: Ints
    phone_owner: Ints
    #: The place of one's own telephone number in the country's ranges; -1 without one.
    phone: Ints
    is_linked_by_row: Flags
    cookie_day: Days
    uninstall_day: Days
    profile_day: Days
    erasure_day: Days
    #: An erased person who goes on as a new one.
    goes_on: Flags
    has_address: Flags
    consents: Flags
    withdraw_day: Days
    grants_again: Flags
    token: Ints
    token_end_day: Days
    token_is_renewed: Flags
    #: The first day of a subscription; NEVER without one.
    subscribe_day: Ints

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self.kind)

    def is_in_records(self, person: Ints, day: int) -> Flags:
        """Whether people signed up before a day, and were not erased before it for good."""
        came, erased = self.came_day[person], self.erasure_day[person]
        is_erased = (came < erased) & (erased < day) & ~self.goes_on[person]
        return (came < day) & ~is_erased


class ByDay:
    """Finds the entries of an array of days by their day, without looking at all of them."""

    def __init__(self, days: NDArray[np.integer]) -> None:
        flat = days.reshape(-1)
        given = np.flatnonzero((flat >= 0) & (flat < NEVER))
        self._shape = days.shape
        self._entries = given[np.argsort(flat[given], kind="stable")]
        self._days = flat[self._entries]

    def of(self, day: int) -> tuple[NDArray[np.intp], ...]:
        """The positions of the entries of a day, an array a dimension."""
        first, last = np.searchsorted(self._days, [day, day + 1])
        return np.unravel_index(self._entries[first:last], self._shape)


class Agenda:
    """What people will change by themselves, by day."""

    def __init__(self, people: People) -> None:
        self.comes = ByDay(people.came_day)
        self.withdraws = ByDay(people.withdraw_day)
        self.loses_token = ByDay(people.token_end_day)
        self.changes_profile = ByDay(people.profile_day)
        self.is_erased = ByDay(people.erasure_day)
        self.uninstalls = ByDay(people.uninstall_day)


def spread(parameter: tuple[tuple[float, int], ...], codes: NDArray[np.int8]) -> Floats:
    """The values of a parameter that is given as (value, weight) pairs."""
    return np.asarray([value for value, _ in parameter])[codes]


def _codes(draws: Draws, weights: tuple[int, ...], size: int) -> NDArray[np.int8]:
    return draws.choose(weights, size).astype(np.int8)


def _days(draws: Draws, share: float, parameters: Parameters, *shape: int) -> Days:
    """For a share of entries a day between the first and the last; NEVER for the others."""
    luck = draws.uniform(*shape)
    if share <= 0:
        return np.full(shape, NEVER, dtype=np.int16)
    return np.where(luck < share, (luck / share * parameters.days).astype(np.int16), NEVER).astype(np.int16)


def _shared_with(draws: Draws, share: float, size: int) -> Ints:
    """For each person the owner of a thing: oneself, or for a share of people the one before in the list."""
    flags = draws.happens(share, size)
    flags[0] = False
    flags[1:] &= ~flags[:-1]
    return np.arange(size) - flags


def _phones(country: NDArray[np.int8], wanted: Flags) -> Ints:
    """Number those who want a telephone within their country, as far as its ranges for fiction go."""
    phone = np.full(len(country), -1, dtype=np.int64)
    for code, place in enumerate(COUNTRIES):
        people = np.flatnonzero(wanted & (country == code))[: place.phones]
        # Neighbours in the list are no neighbours in the range: 7,919 has no factor in common with its size.
        phone[people] = np.arange(len(people)) * 7919 % max(place.phones, 1)
    return phone


def make_people(parameters: Parameters) -> People:
    """Draw everything about everybody that does not depend on what they are sent."""
    size = parameters.users

    def draws(name: str) -> Draws:
        return Draws(parameters.seed, name)

    kind = _codes(draws("kind"), tuple(k.weight for k in parameters.kinds), size)
    luck = draws("came").uniform(3, size)
    is_old = luck[0] < np.asarray([k.before for k in parameters.kinds])[kind]
    came_day = np.where(
        is_old, -1 - (luck[1] * parameters.past_days).astype(np.int64), (luck[1] * parameters.days).astype(np.int64)
    )
    online = np.asarray([k.visits > 0 for k in parameters.kinds])[kind]
    looks_first = online & ~is_old & draws("looks first").happens(parameters.comes_before_signup, size)
    earlier = 1 + draws("earlier").below(5, size)
    country = _codes(draws("country"), tuple(c.weight for c in COUNTRIES), size)
    platform = np.where(draws("app").happens(parameters.has_app, size), 1 + draws("platform").below(2, size), 0).astype(
        np.int8
    )
    phone = _phones(country, draws("phone").happens(parameters.has_phone, size))
    phone_owner = _shared_with(draws("shared phone"), parameters.shared_phones, size)
    phone_owner = np.where(phone[phone_owner] >= 0, phone_owner, np.arange(size))
    channels = len(parameters.channels)
    has_address = draws("addresses").uniform(channels, size) < _by_channel(parameters, "addresses")
    for name in PHONE_CHANNELS:
        has_address[CHANNEL[name]] &= phone[phone_owner] >= 0
    for name in APP_CHANNELS:
        has_address[CHANNEL[name]] &= platform > 0
    subscribes = draws("subscribes").uniform(2, size)
    token_end = _days(draws("token ends"), parameters.token_ends, parameters, channels, size)
    for name, number in CHANNEL.items():
        if name not in TOKEN_CHANNELS:
            token_end[number] = NEVER
    return People(
        kind=kind,
        came=parameters.start + came_day * DAY + (luck[2] * (DAY - 3600)).astype(np.int64),
        came_day=came_day,
        seen_day=np.where(looks_first, np.maximum(came_day - earlier, 0), came_day),
        country=country,
        platform=platform,
        visit_rate=np.asarray([k.visits for k in parameters.kinds])[kind]
        * spread(parameters.visit_spread, _codes(draws("visits"), _weights(parameters.visit_spread), size)),
        buy_rate=np.asarray([k.buys for k in parameters.kinds])[kind]
        * spread(parameters.buy_spread, _codes(draws("buys"), _weights(parameters.buy_spread), size)),
        basket=_codes(draws("basket"), parameters.basket_weights, size),
        favourite=draws("favourite").below(len(CATEGORIES), size).astype(np.int8),
        season=(1 + draws("season").below(12, size)).astype(np.int8),
        level=_codes(draws("level"), parameters.levels, size),
        sensitivity=_codes(draws("sensitivity"), _weights(parameters.sensitivities), size),
        tastes=_codes(draws("tastes"), _weights(parameters.tastes), channels * size).reshape(channels, size),
        machine_opens=draws("machine").happens(parameters.machine_openers, size),
        mailbox_is_dead=draws("dead").happens(parameters.dead_mailboxes, size),
        web_owner=_shared_with(draws("shared device"), parameters.shared_devices, size),
        mailbox=_shared_with(draws("shared mailbox"), parameters.shared_mailboxes, size),
        phone_owner=phone_owner,
        phone=phone,
        is_linked_by_row=draws("links").happens(parameters.links, size),
        cookie_day=_days(draws("cookies"), parameters.new_cookies, parameters, size),
        uninstall_day=_days(draws("uninstalls"), parameters.uninstalls, parameters, size),
        profile_day=_days(draws("moves"), parameters.profile_changes, parameters, size),
        erasure_day=_days(draws("erasures"), parameters.erasures, parameters, size),
        goes_on=draws("goes on").happens(parameters.goes_on, size),
        has_address=has_address,
        consents=draws("consents").uniform(channels, size) < _by_channel(parameters, "consents"),
        withdraw_day=_days(draws("withdraws"), parameters.withdraws, parameters, channels, size),
        grants_again=draws("grants again").uniform(channels, size) < parameters.grants_again,
        token=draws("tokens").below(10**9, channels * size).reshape(channels, size),
        token_end_day=token_end,
        token_is_renewed=draws("renewed").uniform(channels, size) < parameters.token_renewed,
        subscribe_day=np.where(
            subscribes[0] < parameters.subscribers, came_day + 1 + (subscribes[1] * 60).astype(np.int64), NEVER
        ),
    )


def _weights(parameter: tuple[tuple[float, int], ...]) -> tuple[int, ...]:
    return tuple(weight for _, weight in parameter)


def _by_channel(parameters: Parameters, name: str) -> Floats:
    """A number of each channel as a column."""
    return np.asarray([getattr(channel, name) for channel in parameters.channels], dtype=np.float64)[:, None]


def web_device(people: People, person: Ints, day: int) -> Ints:
    """The code of the anonymous id that people have on the web on a day."""
    owner = people.web_owner[person]
    return owner * DEVICES + np.where(people.cookie_day[owner] <= day, SECOND_WEB, WEB)


def app_device(person: Ints) -> Ints:
    """The code of the anonymous id that people have in the app."""
    return person * DEVICES + APP
