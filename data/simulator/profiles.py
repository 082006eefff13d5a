"""What people leave in the shop's records: profiles, linked devices, addresses, consents, erasures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data.simulator.catalogue import (
    CATEGORIES,
    COUNTRIES,
    EDUCATIONS,
    FIRST_NAMES,
    GENDERS,
    INCOMES,
    LAST_NAMES,
    OCCUPATIONS,
    VALUES,
)
from data.simulator.draws import Draws, Ints
from data.simulator.parameters import CHANNEL, DAY, TOKEN_CHANNELS, Parameters
from data.simulator.people import Agenda, People, app_device, web_device
from data.simulator.tables import Table, filled, joined, taken

#: Words for a consent given, and for one taken back, as suppliers write them.
GRANTS = ("granted", "opt_in", "subscribed", "Granted")
WITHDRAWALS = ("withdrawn", "opt_out", "unsubscribed", "Withdrawn")
CONSENT_WORDS = (*GRANTS, *WITHDRAWALS)
SOURCES = ("signup", "import", "preferences", "device", "provider")
SIGNUP, IMPORT, PREFERENCES, DEVICE, PROVIDER = range(len(SOURCES))
#: Times of day of what happens once a day, in seconds.
_NOON = 12 * 3600
_CONSENT_AFTER, _LINK_AFTER, _TOKEN_AFTER = 30, 120, 900
_FIRST_BIRTH, _BIRTH_YEARS = -26 * 365, 68


@dataclass(frozen=True)
class Profiles:
    """Codes of what profiles say, a person an entry; -1 is not given."""

    codes: Table

    @staticmethod
    def of(parameters: Parameters, people: People) -> Profiles:
        """Draw the profiles of all people."""
        size = people.count
        luck = Draws(parameters.seed, "profiles").uniform(22, size)

        def among(column: int, count: int | Ints) -> Ints:
            return (luck[column] * count).astype(np.int64)

        def given(column: int, share: float, codes: Ints) -> Ints:
            return np.where(luck[column] < share, codes, -1)

        cities = np.asarray([len(country.cities) for country in COUNTRIES])[people.country]
        says_country = luck[0] < 0.95
        owner = people.phone_owner
        is_home = (np.arange(size) % 5 == 0) & says_country & (owner == np.arange(size))
        favourite = people.favourite.astype(np.int64)
        codes = {
            "has_app": (people.platform > 0).astype(np.int64),
            "mailbox": np.where(people.has_address[CHANNEL["email"]], people.mailbox, -1),
            "phone": people.phone[owner],
            "phone_country": people.country[owner].astype(np.int64),
            "phone_is_home": is_home.astype(np.int64),
            "first_name": given(1, 0.9, among(2, len(FIRST_NAMES))),
            "last_name": given(3, 0.85, among(4, len(LAST_NAMES))),
            "born": np.where(luck[5] < 0.6, _FIRST_BIRTH + among(6, 365 * _BIRTH_YEARS), -100_000),
            "gender": given(7, 0.75, among(8, len(GENDERS))),
            "country": np.where(says_country, people.country, -1),
            "city": given(9, 0.75, among(10, cities)),
            "says_zone": (luck[11] < 0.8).astype(np.int64),
            "says_language": (luck[12] < 0.9).astype(np.int64),
            "income": given(13, 0.7, among(14, len(INCOMES))),
            "education": given(15, 0.7, among(16, len(EDUCATIONS))),
            "occupation": given(17, 0.8, among(18, len(OCCUPATIONS))),
            "household": given(19, 0.7, 1 + among(20, 6)),
            "interest": given(21, 0.5, favourite),
            "second_interest": given(21, 0.5, among(20, len(CATEGORIES))),
            "value": given(17, 0.4, among(6, len(VALUES))),
        }
        return Profiles(codes)

    def rows(self, user: Ints, created: Ints, updated: Ints, has_moved: bool = False) -> Table:
        """Rows of users; someone who moved lives in another city of the country."""
        table = taken(self.codes, user)
        table |= {"user": user, "created": created, "at": updated, "updated": np.where(created < 0, -1, updated)}
        if has_moved:
            table["city"] = np.maximum(table["city"] - 1, 0)
            table["updated"] = updated
        return table


def consent_rows(user: Ints, channel: Ints, word: Ints, source: Ints | int, at: Ints) -> Table:
    """Rows of consents; ``word`` is a position in CONSENT_WORDS."""
    return filled(len(user), user=user, channel=channel, word=word, source=source, at=at)


def address_rows(people: People, user: Ints, channel: Ints, is_renewed: bool, is_active: bool, at: Ints) -> Table:
    """Rows of push tokens and chat ids."""
    return filled(
        len(user),
        user=user,
        channel=channel,
        token=people.token[channel, user],
        is_renewed=int(is_renewed),
        is_active=int(is_active),
        at=at,
    )


def signup(parameters: Parameters, people: People, profiles: Profiles, user: Ints) -> dict[str, Table]:
    """Everything that people bring when they sign up, each row with its time ``at`` (seconds)."""
    came = people.came[user]
    created = np.where(user % 50 > 0, came, -1)
    channel, position = np.nonzero((people.consents & people.has_address)[:, user])
    who, at = user[position], came[position]
    source = np.where(at < parameters.start, IMPORT, SIGNUP)
    consents = consent_rows(who, channel, (who * 7 + channel) % len(GRANTS), source, at + _CONSENT_AFTER)
    addresses = []
    for name in TOKEN_CHANNELS:
        number = CHANNEL[name]
        has_one = user[people.has_address[number, user]]
        at = people.came[has_one] + _TOKEN_AFTER
        addresses.append(address_rows(people, has_one, np.full(len(has_one), number), False, True, at))
    return {
        "users": profiles.rows(user, created, came),
        "identities": _links(parameters, people, user),
        "addresses": joined(addresses),
        "consents": consents,
    }


def _links(parameters: Parameters, people: People, user: Ints) -> Table:
    """The devices of people who are linked when they sign up."""
    is_online = np.asarray([kind.visits > 0 or kind.comes_once for kind in parameters.kinds])[people.kind[user]]
    linked = user[is_online & people.is_linked_by_row[user]]
    with_app = linked[people.platform[linked] > 0]
    person = np.concatenate([linked, with_app])
    device = np.concatenate([web_device(people, linked, -1), app_device(with_app)])
    at = people.came[person] + _LINK_AFTER
    return {"user": person, "device": device, "at": at, "linked": np.where(person % 40 > 0, at, -1)}


@dataclass(frozen=True)
class Changes:
    """What people change by themselves on a day: who is concerned, and the rows that say so."""

    #: (channel, user) pairs that may not be contacted any more from now on, and those that may again.
    closed: tuple[Ints, Ints]
    opened: tuple[Ints, Ints]
    #: (channel, user) pairs that have no address any more.
    lost_address: tuple[Ints, Ints]
    erased: Ints
    rows: dict[str, Table]


def changes(parameters: Parameters, people: People, agenda: Agenda, profiles: Profiles, day: int) -> Changes:
    """What people who came before a day change by themselves on it."""
    noon = parameters.start + day * DAY + _NOON

    def consenting(found: tuple[Ints, ...]) -> tuple[Ints, Ints]:
        channel, user = found
        given = people.consents[channel, user] & people.has_address[channel, user] & people.is_in_records(user, day)
        return channel[given], user[given]

    def known(user: Ints) -> Ints:
        return user[people.is_in_records(user, day)]

    def at(users: Ints, offset: int = 0) -> Ints:
        return noon + offset + users % 3600

    channel, user = consenting(agenda.withdraws.of(day))
    word = len(GRANTS) + (user * 7 + channel) % len(WITHDRAWALS)
    consents = [consent_rows(user, channel, word, PREFERENCES, at(user))]
    back_channel, back = consenting(agenda.withdraws.of(day - 1))
    again = people.grants_again[back_channel, back] & (people.came_day[back] < day - 1)
    back_channel, back = back_channel[again], back[again]
    consents.append(consent_rows(back, back_channel, (back + back_channel) % len(GRANTS), PREFERENCES, at(back)))
    ends_channel, ends = agenda.loses_token.of(day)
    has_one = people.has_address[ends_channel, ends] & people.is_in_records(ends, day)
    ends_channel, ends = ends_channel[has_one], ends[has_one]
    renewed = people.token_is_renewed[ends_channel, ends]
    addresses = joined(
        [
            address_rows(people, ends, ends_channel, False, False, at(ends, 60)),
            address_rows(people, ends[renewed], ends_channel[renewed], True, True, at(ends[renewed], 120)),
        ]
    )
    moved = known(*agenda.changes_profile.of(day))
    created = np.where(moved % 50 > 0, people.came[moved], -1)
    users = [profiles.rows(moved, created, at(moved, 180), has_moved=True)]
    erased = known(*agenda.is_erased.of(day))
    # Who goes on after an erasure signs up anew on the next day.
    (anew,) = agenda.is_erased.of(day - 1)
    anew = anew[(people.came_day[anew] < day - 1) & people.goes_on[anew]]
    users.append(profiles.rows(anew, at(anew), at(anew)))
    email = np.full(len(anew), CHANNEL["email"])
    consents.append(consent_rows(anew, email, np.zeros(len(anew), dtype=np.int64), SIGNUP, at(anew, 30)))
    return Changes(
        closed=(channel, user),
        opened=(np.concatenate([back_channel, email]), np.concatenate([back, anew])),
        lost_address=(ends_channel[~renewed], ends[~renewed]),
        erased=erased,
        rows={
            "consents": joined(consents),
            "addresses": addresses,
            "users": joined(users),
            "erasures": {"user": erased, "at": at(erased, 240)},
        },
    )
