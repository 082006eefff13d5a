"""The replay of contacts under caps, against one that is written from the rules, contact by contact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.measures.replay import CALENDAR, NOT_JUDGED, ROLLING, WINDOWS, Cap, Contacts, Replay
from orchestration.policy_rules import POLICY_SEGMENTS

CHANNELS = ["email", "push", "sms"]
#: A Wednesday, so that two weeks and two months are soon begun.
FIRST = date(2026, 1, 28)

#: A contact: user, day after `FIRST`, channel, segment (None: it was sent before what is judged).
Sent = tuple[int, int, str, str | None]


def by_the_rules(sent: Sequence[Sent], caps: Sequence[Cap], windows: str) -> list[bool]:
    """Which contacts are kept: counted anew for each, in plain words of the rules."""
    kept: list[Sent] = []
    answers = []
    for contact in sent:
        user, day, channel, segment = contact
        is_kept = segment is None or all(
            sum(
                other_user == user and cap.channel in ("all", other) and in_window(then, day, cap.window_days, windows)
                for other_user, then, other, _ in kept
            )
            < cap.max_contacts
            for cap in caps
            if cap.policy_segment in ("*", segment) and cap.channel in ("all", channel)
        )
        answers.append(is_kept)
        if is_kept:
            kept.append(contact)
    return answers


def in_window(then: int, day: int, days: int, windows: str) -> bool:
    """Whether a day is in the window of a later one, or of the same."""
    earlier, later = FIRST + timedelta(then), FIRST + timedelta(day)
    if windows == CALENDAR and days == 7:
        return earlier.isocalendar()[:2] == later.isocalendar()[:2]
    if windows == CALENDAR and 28 <= days <= 31:
        return (earlier.year, earlier.month) == (later.year, later.month)
    return day - then < days


def contacts_of(sent: Sequence[Sent]) -> Contacts:
    start = (FIRST - date(1970, 1, 1)).days
    return Contacts(
        user=np.array([user for user, *_ in sent], dtype=np.int64),
        day=np.array([start + day for _, day, _, _ in sent], dtype=np.int64),
        channel=np.array([CHANNELS.index(channel) for _, _, channel, _ in sent], dtype=np.int64),
        segment=np.array([POLICY_SEGMENTS.index(s) if s else NOT_JUDGED for *_, s in sent], dtype=np.int64),
    )


def replayed(sent: Sequence[Sent], caps: Sequence[Cap], windows: str = ROLLING) -> list[bool]:
    return Replay(caps, CHANNELS, windows).kept(contacts_of(sent)).tolist()


segments = st.sampled_from(["fatigued", "dormant", "default"])
caps = st.lists(
    st.builds(
        Cap,
        policy_segment=st.one_of(st.just("*"), segments),
        channel=st.sampled_from(["all", *CHANNELS]),
        window_days=st.sampled_from([1, 2, 7, 7, 30, 30, 31, 365]),
        max_contacts=st.integers(0, 4),
    ),
    max_size=5,
)


@st.composite
def histories(draw: st.DrawFn) -> list[Sent]:
    """Contacts of a few users, sorted as they were sent; the first of some were sent before what is judged."""
    sent: list[Sent] = []
    for user in range(draw(st.integers(1, 4))):
        days = sorted(draw(st.lists(st.integers(0, 40), max_size=14)))
        judged_from = draw(st.sampled_from([0, 0, 5]))
        for day in days:
            segment = draw(segments) if day >= judged_from else None
            sent.append((user, day, draw(st.sampled_from(CHANNELS)), segment))
    return sent


@pytest.mark.parametrize("windows", WINDOWS)
@settings(max_examples=100, deadline=None)
@given(sent=histories(), caps=caps)
def test_what_is_kept_is_what_the_rules_keep(windows: str, sent: list[Sent], caps: list[Cap]) -> None:
    assert replayed(sent, caps, windows) == by_the_rules(sent, caps, windows)


@pytest.mark.parametrize("windows", WINDOWS)
@settings(max_examples=50, deadline=None)
@given(sent=histories(), caps=caps)
def test_what_was_kept_is_within_the_caps(windows: str, sent: list[Sent], caps: list[Cap]) -> None:
    """Replaying the result removes nothing, and nobody in it is over a cap; before, whoever lost something was."""
    replay, contacts = Replay(caps, CHANNELS, windows), contacts_of(sent)
    kept = replay.kept(contacts)
    rest = contacts.where(kept)
    assert replay.kept(rest).all()
    assert not replay.over(rest).any()
    assert set(contacts.user[~kept]) == set(contacts.user[replay.over(contacts)])


@settings(max_examples=30, deadline=None)
@given(sent=histories())
def test_a_cap_of_0_removes_all_that_is_judged_and_no_cap_nothing(sent: list[Sent]) -> None:
    assert replayed(sent, [Cap("*", "all", 7, 0)]) == [segment is None for *_, segment in sent]
    assert all(replayed(sent, []))


def test_a_contact_that_is_removed_leaves_room_for_a_later_one() -> None:
    sent: list[Sent] = [(0, day, "email", "default") for day in (0, 6, 7, 13)]
    assert replayed(sent, [Cap("*", "all", 7, 1)]) == [True, False, True, False]
    assert replayed(sent, [Cap("*", "all", 7, 1), Cap("*", "email", 8, 1)]) == [True, False, False, True]


def test_windows_end_with_the_day_or_are_those_of_the_calendar() -> None:
    # Sunday 1 February, Monday 2 February; 31 January and 1 February
    week: list[Sent] = [(0, 4, "email", "default"), (0, 5, "email", "default")]
    month: list[Sent] = [(0, 3, "email", "default"), (0, 4, "email", "default")]
    assert replayed(week, [Cap("*", "all", 7, 1)]) == [True, False]
    assert replayed(week, [Cap("*", "all", 7, 1)], CALENDAR) == [True, True]
    assert replayed(month, [Cap("*", "all", 30, 1)]) == [True, False]
    assert replayed(month, [Cap("*", "all", 30, 1)], CALENDAR) == [True, True]
    # a window that is no week and no month goes with the day
    assert replayed(week, [Cap("*", "all", 14, 1)], CALENDAR) == [True, False]


def test_channels_have_caps_of_their_own() -> None:
    sent: list[Sent] = [(0, 0, "email", "default"), (0, 0, "push", "default"), (0, 1, "email", "default")]
    assert replayed(sent, [Cap("*", "email", 7, 1)]) == [True, True, False]
    assert replayed(sent, [Cap("default", "push", 1, 0), Cap("*", "all", 7, 1)]) == [True, False, False]


def test_a_contact_is_judged_by_the_segment_of_its_own_time() -> None:
    sent: list[Sent] = [(0, 0, "email", "dormant"), (0, 1, "email", "default"), (0, 2, "email", "dormant")]
    assert replayed(sent, [Cap("dormant", "all", 7, 1)]) == [True, True, False]


def test_nobody_without_contacts() -> None:
    assert replayed([], [Cap("*", "all", 7, 1)]) == []
