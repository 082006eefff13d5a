"""Contacts played again under caps, in the order in which they were sent: which of them the caps would have let pass.

All users are looked at side by side, one contact of each at a time, so that what takes time is a round and not a
contact.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from orchestration.policy_rules import POLICY_SEGMENTS

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
#: How windows are counted: those that end with the contact's date, or its ISO week and its month.
ROLLING, CALENDAR = "rolling", "calendar"
WINDOWS = (ROLLING, CALENDAR)
#: A segment of contacts that are not judged: they were sent before, and count.
NOT_JUDGED = -1
_EVERY_SEGMENT, _ALL_CHANNELS = "*", "all"
#: Stands for the cap where none fits: more than anybody has contacts.
_NONE = np.iinfo(np.int64).max
#: Windows of so many days are an ISO week, or a calendar month, where calendar windows are asked for.
_WEEK, _MONTH = (7,), (28, 29, 30, 31)


class Cap(NamedTuple):
    """A row of the contact policy: at most so many contacts in so many days; 0 means never."""

    policy_segment: str
    channel: str
    window_days: int
    max_contacts: int


@dataclass(frozen=True)
class Contacts:
    """Contacts of whole users: sorted by user, and those of a user in the order in which they were sent.

    ``user`` counts from 0; ``day`` is the date in days since 1970; ``channel`` and ``segment`` are places in the list
    of channels and in `POLICY_SEGMENTS`, the segment as of the day before, or `NOT_JUDGED`.
    """

    user: Integers
    day: Integers
    channel: Integers
    segment: Integers

    def __len__(self) -> int:
        return len(self.user)

    def where(self, chosen: Booleans | Integers) -> Contacts:
        """Return some of the contacts; users keep their numbers."""
        return Contacts(self.user[chosen], self.day[chosen], self.channel[chosen], self.segment[chosen])


@dataclass(frozen=True)
class _Limit:
    """The caps of one window: the most by (segment, channel), over all channels or on the contact's own."""

    most: Integers
    window_days: int
    is_total: bool

    def starts(self, day: Integers, windows: str) -> Integers:
        """Return the first day of the window that a contact of each day is in."""
        if windows == CALENDAR and self.window_days in _WEEK:
            # 1 January 1970 was a Thursday
            return day - (day + 3) % 7
        if windows == CALENDAR and self.window_days in _MONTH:
            return day.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        return day - self.window_days + 1


@dataclass(frozen=True)
class _Lanes:
    """Contacts by lane: all of a user, or those on one channel. ``order`` puts them lane by lane, each as it was sent.

    ``lane`` is the number of each contact's lane, ``first`` where each lane begins in that order.
    """

    order: Integers
    lane: Integers
    first: Integers


class Replay:
    """The caps of a policy, made ready for contacts on a list of channels."""

    def __init__(self, caps: Iterable[Cap], channels: Iterable[str], windows: str) -> None:
        """Take caps as `check_policy` finds them right; ``windows`` is one of `WINDOWS`."""
        self._windows = windows
        self._channels = list(channels)
        self._limits = list(_limits(list(caps), self._channels))

    def over(self, contacts: Contacts) -> Booleans:
        """Return which contacts are more than the caps allow beside all those before them; no unjudged one is."""
        found = np.zeros(len(contacts), dtype=np.bool_)
        for is_total in (True, False):
            limits = [limit for limit in self._limits if limit.is_total is is_total]
            if not limits or not len(contacts):
                continue
            lanes = _lanes(contacts, len(self._channels), is_total)
            in_order = contacts.where(lanes.order)
            place = np.arange(len(contacts))
            before = place - lanes.first[lanes.lane[lanes.order]]
            is_over = np.zeros(len(contacts), dtype=np.bool_)
            for limit in limits:
                most = limit.most[in_order.segment, in_order.channel]
                starts = limit.starts(in_order.day, self._windows)
                is_full = before >= most
                # the last so many of its lane all lie in the window
                oldest = in_order.day[np.where(is_full, place - np.minimum(most, place), 0)]
                is_over |= is_full & ((most == 0) | (oldest >= starts))
            found[lanes.order] |= is_over
        return found & (contacts.segment != NOT_JUDGED)

    def kept(self, contacts: Contacts, over: Booleans | None = None) -> Booleans:
        """Return which contacts would have been sent: each within the caps, beside those before it that are kept.

        ``over`` is what `over` returns of them, for who knows it.
        """
        over = self.over(contacts) if over is None else over
        kept = np.ones(len(contacts), dtype=np.bool_)
        # whoever never had more than the caps allow keeps everything
        is_concerned = np.zeros(int(contacts.user.max(initial=-1)) + 1, dtype=np.bool_)
        is_concerned[contacts.user[over]] = True
        chosen = is_concerned[contacts.user]
        if chosen.any():
            kept[chosen] = self._played(contacts.where(chosen))
        return kept

    def _played(self, contacts: Contacts) -> Booleans:
        users = _lanes(contacts, len(self._channels), is_total=True)
        own = _lanes(contacts, len(self._channels), is_total=False)
        starts = [limit.starts(contacts.day, self._windows) for limit in self._limits]
        # the days of what each lane has kept so far, one behind the other from where it begins
        total_days, own_days = np.zeros_like(contacts.day), np.zeros_like(contacts.day)
        total_kept, own_kept = np.zeros_like(users.first), np.zeros_like(own.first)
        kept = np.zeros(len(contacts), dtype=np.bool_)
        for user, place in _rounds(users.first, len(contacts)):
            segment, channel, lane = contacts.segment[place], contacts.channel[place], own.lane[place]
            ok = np.ones(len(place), dtype=np.bool_)
            of_total, of_own = (users.first[user], total_kept[user]), (own.first[lane], own_kept[lane])
            for limit, start in zip(self._limits, starts, strict=True):
                days, (first, count) = (total_days, of_total) if limit.is_total else (own_days, of_own)
                most = limit.most[segment, channel]
                is_full = count >= most
                oldest = days[first + np.where(is_full, count - np.minimum(most, count), 0)]
                ok &= ~(is_full & ((most == 0) | (oldest >= start[place])))
            ok |= segment == NOT_JUDGED
            kept[place] = ok
            user, place, lane = user[ok], place[ok], lane[ok]
            total_days[users.first[user] + total_kept[user]] = contacts.day[place]
            own_days[own.first[lane] + own_kept[lane]] = contacts.day[place]
            total_kept[user] += 1
            own_kept[lane] += 1
        return kept


def _limits(caps: list[Cap], channels: list[str]) -> Iterator[_Limit]:
    """Put caps together by window: the least of what fits."""
    for days, is_total in sorted({(cap.window_days, cap.channel == _ALL_CHANNELS) for cap in caps}):
        most = np.full((len(POLICY_SEGMENTS), len(channels)), _NONE, dtype=np.int64)
        for cap in caps:
            if (cap.window_days, cap.channel == _ALL_CHANNELS) == (days, is_total):
                every = cap.policy_segment == _EVERY_SEGMENT
                rows: Any = slice(None) if every else POLICY_SEGMENTS.index(cap.policy_segment)
                columns: Any = slice(None) if is_total else channels.index(cap.channel)
                most[rows, columns] = np.minimum(most[rows, columns], cap.max_contacts)
        yield _Limit(most, days, is_total)


def _lanes(contacts: Contacts, channels: int, is_total: bool) -> _Lanes:
    """Return the lanes of contacts that are sorted by user."""
    key = contacts.user if is_total else contacts.user * channels + contacts.channel
    order = np.arange(len(key)) if is_total else np.argsort(key, kind="stable")
    in_order = key[order]
    begins = np.ones(len(key), dtype=np.bool_)
    begins[1:] = in_order[1:] != in_order[:-1]
    lane = np.empty_like(key)
    lane[order] = np.cumsum(begins) - 1
    return _Lanes(order, lane, np.flatnonzero(begins))


def _rounds(first: Integers, contacts: int) -> Iterator[tuple[Integers, Integers]]:
    """Yield the n-th contact of every user who has so many: the users, and the places of the contacts."""
    counts = np.diff(first, append=contacts)
    by_count = np.argsort(-counts, kind="stable")
    # how many users have more than n contacts
    having = len(counts) - np.searchsorted(np.sort(counts), np.arange(int(counts.max(initial=0))), side="right")
    for number, users in enumerate(having):
        chosen = by_count[:users]
        yield chosen, first[chosen] + number
