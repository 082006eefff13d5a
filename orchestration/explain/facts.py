"""What is known of one user as of a date, as the tables say it, and the policy that the words need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any


@dataclass(frozen=True)
class Segment:
    """The segment of the user in one family, with its rule from the catalogue (None: it has no words)."""

    family: str
    segment: str
    rule: str | None


@dataclass(frozen=True)
class Message:
    """A message that was sent to the user, and what became of it."""

    contact_date: date
    channel: str
    campaign_id: str | None
    message_class: str
    is_contact: bool
    is_opened: bool
    is_clicked: bool
    is_negative: bool


@dataclass(frozen=True)
class PlannedContact:
    """A contact that a plan list carried; ``is_pending``: no log tells of it yet, so it counts as a contact."""

    plan_date: date
    channel: str
    campaign_id: str
    message_class: str
    is_pending: bool


@dataclass(frozen=True)
class Pressure:
    """Contacts of the user on one channel, or on all of them, and what the caps leave for plan_date.

    ``headroom`` None: no cap; ``cap_use`` is text like ``1d 0/2|7d 3/5``, None without a cap; ``next_eligible_date``
    None: a cap is 0.
    """

    contacts_7d: int
    contacts_30d: int
    days_since_last_contact: int | None
    headroom: int | None
    cap_use: str | None
    next_eligible_date: date | None


@dataclass(frozen=True)
class Eligibility:
    """Whether marketing may go to the user on a channel; ``service_reason`` None: service messages can."""

    channel: str
    is_eligible: bool
    reason: str | None
    service_reason: str | None


@dataclass(frozen=True)
class Planned:
    """A campaign that the plan gives the user, or holds back from them (``holdout_kind``)."""

    campaign_id: str
    audience: str
    channel: str
    message_class: str
    variant: str | None
    holdout_kind: str | None
    value: Decimal | None


@dataclass(frozen=True)
class Suppression:
    """A campaign that the user is a candidate of and does not get."""

    campaign_id: str
    audience: str
    message_class: str
    reason: str
    won_by_campaign_id: str | None
    value_forgone: Decimal | None
    again_from: date | None


@dataclass(frozen=True)
class Audience:
    """An audience of the catalogue; ``channels`` is text like ``email|push``."""

    audience: str
    criteria: str | None
    channels: str | None
    message_class: str
    repeat_after_days: int | None
    max_sends: int | None


@dataclass(frozen=True)
class Facts:
    """All that is known of one user as of a date.

    ``plan_date`` is what channels and campaigns speak of: the day after ``as_of``, but in a build of the day itself,
    which makes no plan, still the plan of the night. Caps speak of ``next_date``.
    ``measures`` is the row of user_360, ``rfm`` that of rfm (empty: never ordered), ``pressure_by_channel`` has the
    channels with an address or a contact in 90 days. On ``silent_channels`` contacts brought no reaction lately.
    ``dose_arm`` is the user's arm of the dose test, None while none runs. ``addresses`` (by channel) is None where
    nobody asked for them.
    """

    user_id: str
    as_of: date
    plan_date: date
    is_final: bool
    measures: Mapping[str, Any]
    rfm: Mapping[str, Any]
    segments: Sequence[Segment]
    messages: Sequence[Message]
    planned_contacts: Sequence[PlannedContact]
    policy_segment: str | None
    pressure_status: str | None
    pressure: Pressure
    pressure_by_channel: Mapping[str, Pressure]
    eligibility: Sequence[Eligibility]
    plan: Sequence[Planned]
    suppressions: Sequence[Suppression]
    audiences: Sequence[Audience]
    silent_channels: frozenset[str] = frozenset()
    dose_arm: str | None = None
    addresses: Mapping[str, str] | None = None

    @property
    def next_date(self) -> date:
        """The day after ``as_of``."""
        return self.as_of + timedelta(days=1)


@dataclass(frozen=True)
class Blackout:
    """A row of the seed blackout_dates: a date or a weekday (0 is Monday); no channel or country: all."""

    blackout_date: date | None
    weekday: int | None
    channel: str | None
    country: str | None


@dataclass(frozen=True)
class Policy:
    """What the words need of the policy, as it is now.

    ``channels`` are in the order of the seed, ``counting`` those that count towards pressure; ``each_order`` are the
    audiences that are sent once for each order, ``drops_silent`` those that leave out silent channels.
    """

    channels: Sequence[str]
    counting: frozenset[str]
    gaps: Mapping[str, int]
    blackouts: Sequence[Blackout]
    min_marketing_age: int
    marketing_retention_days: int
    just_bought_days: int
    follow_up_days: int
    each_order: frozenset[str]
    drops_silent: frozenset[str]
    fatigue_signal_days: int

    def in_order(self, channel: str) -> tuple[int, str]:
        """Return what sorts channels as the seed does; one that it lacks comes last."""
        known = list(self.channels)
        return (known.index(channel) if channel in known else len(known), channel)
