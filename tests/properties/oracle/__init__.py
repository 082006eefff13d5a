"""The oracle: what the tables must hold, computed slowly and plainly from the rules.

Every function takes a world and a date. Rows that an erasure drops are dropped first, whatever the date.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from datetime import date

from . import addresses as _addresses
from . import audiences as _audiences
from . import buying as _buying
from . import candidates as _candidates
from . import contacts as _contacts
from . import declared as _declared
from . import eligibility as _eligibility
from . import engagement as _engagement
from . import intent as _intent
from . import ledger as _ledger
from . import message_engagement as _message_engagement
from . import plan as _plan
from . import policy as _policy
from . import pressure as _pressure
from . import rfm as _rfm
from . import subscriptions as _subscriptions
from . import value as _value
from .as_of import AsOf
from .erasure import without_erased
from .identity import events_by
from .world import (
    AGE_BANDS,
    CHANNELS,
    TAXONOMY,
    Audience,
    Blackout,
    CampaignSetting,
    CategorySetting,
    Channel,
    DoseArms,
    EventMeaning,
    ExchangeRate,
    PolicyRow,
    Row,
    UniversalHoldout,
    World,
)

__all__ = [
    "AGE_BANDS",
    "AUDIENCES",
    "CHANNELS",
    "FAMILIES",
    "TAXONOMY",
    "Audience",
    "Blackout",
    "CampaignSetting",
    "CategorySetting",
    "Channel",
    "DoseArms",
    "EventMeaning",
    "ExchangeRate",
    "PolicyRow",
    "Row",
    "UniversalHoldout",
    "World",
    "audiences_as_of",
    "candidate_channels_as_of",
    "candidates_as_of",
    "channel_eligibility_as_of",
    "contact_plan_as_of",
    "contact_pressure_as_of",
    "contact_pressure_by_channel_as_of",
    "contact_suppressions_as_of",
    "contacts_as_of",
    "cut_points",
    "families_as_of",
    "family_as_of",
    "folded_families_as_of",
    "planned_contacts_as_of",
    "previous_cut_points",
    "recut_segments_as_of",
    "rfm_as_of",
    "rfm_stability_as_of",
    "unmapped_events_as_of",
    "users_as_of",
]

#: What a family says of each known user: the segment, or a row with the segment and what stands beside it.
Family = Mapping[str, str] | Mapping[str, dict[str, object]]

FAMILIES: dict[str, Callable[[AsOf], Family]] = {
    "engagement": _engagement.engagement,
    "engagement_outlook": _engagement.engagement_outlook,
    "rfm": lambda now: _value.rfm(now, _value.current_cuts(now)),
    "lifecycle": _buying.lifecycle,
    "purchase_stage": _intent.purchase_stage,
    "lead_temperature": _intent.lead_temperature,
    "value_tier": lambda now: _value.value_tier(now, _value.current_cuts(now)),
    "loyalty_basket": lambda now: _value.loyalty_basket(now, _value.current_cuts(now)),
    "buyer_recency": _buying.buyer_recency,
    "post_purchase": _buying.post_purchase,
    "category_affinity": _intent.category_affinity,
    "abandonment": _intent.abandonment,
    "subscription": _subscriptions.subscription,
    "message_engagement": _message_engagement.message_engagement,
    "reachability": _addresses.reachability,
    "pressure_status": _policy.pressure_status,
    "age_band": _declared.age_band,
    "gender": lambda now: _declared.plain(now, "gender"),
    "country": lambda now: _declared.plain(now, "country"),
    "region": lambda now: _declared.plain(now, "region"),
    "city": lambda now: _declared.plain(now, "city"),
    "income_band": lambda now: _declared.plain(now, "income_band"),
    "education": lambda now: _declared.plain(now, "education"),
    "interest": lambda now: _declared.listed(now, "interest"),
    "value": lambda now: _declared.listed(now, "value"),
}


AUDIENCES = _audiences.AUDIENCES

#: What was looked at last, and what has been found out about it: two, so that two worlds can be compared.
_looked_at: deque[tuple[World, AsOf]] = deque(maxlen=2)


def _at(world: World, day: date) -> AsOf:
    """The world on a date; asked again about the same, it knows what it has found out."""
    for looked_at, now in _looked_at:
        if looked_at is world and now.day == day:
            return now
    now = AsOf(without_erased(world), day)
    _looked_at.append((world, now))
    return now


def users_as_of(world: World, day: date) -> set[str]:
    """The known users."""
    return set(_at(world, day).users)


def families_as_of(world: World, day: date) -> dict[str, dict[str, dict[str, object]]]:
    """By family and known user the segment, not folded, and what stands beside it."""
    now = _at(world, day)
    return {
        name: {user: {"segment": row} if isinstance(row, str) else row for user, row in now.once(family).items()}
        for name, family in FAMILIES.items()
    }


def family_as_of(world: World, day: date, family: str) -> dict[str, str]:
    """The segment of every known user in one family."""
    rows = FAMILIES[family](_at(world, day))
    return {user: row if isinstance(row, str) else str(row["segment"]) for user, row in rows.items()}


def folded_families_as_of(
    world: World, families: Mapping[str, Mapping[str, Mapping[str, object]]]
) -> dict[str, dict[str, str]]:
    """The published families as user_360 shows them, from what ``families_as_of`` gave."""
    return {
        name: _declared.folded(world, name, {user: str(row["segment"]) for user, row in rows.items()})
        for name, rows in families.items()
        if name not in world.unpublished_families
    }


def recut_segments_as_of(world: World, day: date) -> dict[str, dict[str, object]]:
    """Where the previous cut points would put users whom they put elsewhere."""
    return _value.recut_segments(_at(world, day))


def previous_cut_points(world: World, day: date) -> _rfm.CutPoints | None:
    """The cut points before the last change of them; fixed ones don't change."""
    cuts = _value.previous_cuts(_at(world, day))
    return None if cuts is None else cuts.scores


def unmapped_events_as_of(world: World, day: date) -> dict[str, int]:
    """How many events of each name that the taxonomy lacks."""
    names = [event["event"] for event in events_by(without_erased(world), day)]
    return dict(Counter(name for name in names if name not in world.taxonomy))


def cut_points(world: World, day: date) -> _rfm.CutPoints:
    """The cut points that ``day`` is scored with."""
    return _rfm.cut_points(without_erased(world), day)


def rfm_as_of(world: World, day: date) -> dict[str, dict[str, object]]:
    """The RFM row of every user with an order ever."""
    return _rfm.rfm(without_erased(world), day)


def rfm_stability_as_of(world: World, day: date) -> dict[str, dict[str, object]]:
    """What rfm_stability says of each measure."""
    return _rfm.rfm_stability(without_erased(world), day)


def contacts_as_of(world: World, day: date) -> dict[str, _contacts.Contact]:
    """The state of every message sent by the end of ``day``."""
    return _contacts.contacts(without_erased(world), day)


def contact_pressure_as_of(world: World, day: date) -> dict[str, _pressure.PressureRow]:
    """The measures of every known user."""
    return _pressure.contact_pressure(_at(world, day))


def contact_pressure_by_channel_as_of(world: World, day: date) -> dict[tuple[str, str], _pressure.PressureRow]:
    """The measures of every known user and channel with an address or a contact in 90 days."""
    return _pressure.contact_pressure_by_channel(_at(world, day))


def planned_contacts_as_of(world: World, day: date) -> dict[tuple[date, str, str, str, str], dict[str, object]]:
    """Every planned contact of 30 days by plan_date, user, campaign, audience, channel: is it logged, is it pending."""
    return _ledger.planned_contacts(_at(world, day))


def channel_eligibility_as_of(world: World, day: date) -> dict[tuple[str, str], dict[str, object]]:
    """For every known user and channel whether, and if not why not."""
    return _at(world, day).once(_eligibility.channel_eligibility)


def audiences_as_of(world: World, day: date) -> dict[str, _audiences.Candidates]:
    """By built-in audience and candidate what the audience returns beside the user."""
    return _at(world, day).once(_audiences.audiences)


def candidates_as_of(world: World, day: date) -> list[_candidates.Candidate]:
    """Every candidate of the audiences that the world has settings for."""
    return _at(world, day).once(_candidates.candidates)


def candidate_channels_as_of(world: World, day: date) -> dict[_plan.Key, list[tuple[str, str | None]]]:
    """By user, campaign, audience of a candidate its channels in order, each with why it can't be used."""
    return _at(world, day).once(_candidates.candidate_channels)


def contact_plan_as_of(world: World, day: date) -> dict[_plan.Key, dict[str, object]]:
    """The plan, by user, campaign, audience."""
    return _plan.contact_plan(_at(world, day))


def contact_suppressions_as_of(world: World, day: date) -> dict[_plan.Key, dict[str, object]]:
    """Every other candidate, by user, campaign, audience, with the reason."""
    return _plan.contact_suppressions(_at(world, day))
