"""Codes of the tables in words that a person needs no list for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from orchestration.explain.facts import Eligibility, Facts, Policy, Pressure, Segment
from orchestration.explain.plain import plain

#: How far ahead a day without a blackout is looked for.
_BLACKOUT_DAYS = 366

#: What people declare of themselves: the rule says no more than the segment does.
DECLARED = (
    "age_band",
    "gender",
    "country",
    "region",
    "city",
    "language",
    "education",
    "interest",
    "income_band",
    "value",
)
#: Families in the order they are told in, by what they speak of. One that is not here comes with the others.
GROUPS = {
    "Visits": (
        "engagement",
        "engagement_outlook",
        "purchase_stage",
        "lead_temperature",
        "category_affinity",
        "abandonment",
    ),
    "Buying": ("lifecycle", "rfm", "value_tier", "loyalty_basket", "buyer_recency", "post_purchase", "subscription"),
    "Messages": ("message_engagement", "reachability", "pressure_status"),
}
#: What the reasons of a channel mean, as one sentence about the user or the channel.
_WHY = {
    "erased": "the user has asked to be forgotten",
    "do_not_contact": "the user is on the company's do-not-contact list",
    "minor": "the user is younger than {min_marketing_age}",
    "inactive_too_long": "no visit, order, reaction or consent for {marketing_retention_days} days",
    "no_address": "no usable address",
    "duplicate_address": "another user has the same address and was active later",
    "no_consent": "no consent",
    "suppressed": "unsubscribed, complained, or the address bounced",
    "blackout": "a day on which the company sends nothing there",
    "post_purchase": "the user bought on {last_order_date}: {follow_up_days} days of rest follow an order",
    "min_gap": "{gap} days must lie between two contacts there",
    "channel_cap": "the caps of this channel are used up",
    "total_cap": "the caps over all channels are used up",
    "fatigued": "the user is tired of messages (fatigued), and such users get few",
}
_NO_CAP = "a change of seeds/contact_policy.csv: a cap for {policy_segment} users is 0"
#: What ends a reason that no date ends.
_ENDS = {
    "erased": "only data of a later date",
    "do_not_contact": "taking the user out of seeds/do_not_contact.csv",
    "minor": "the birthday",
    "inactive_too_long": "one of these",
    "no_address": "an address",
    "duplicate_address": "later activity of this user, or another address",
    "no_consent": "the user's consent",
    "suppressed": "a new consent after an unsubscribe, a new address after a bounce; nothing after a complaint",
    "blackout": "a change of seeds/blackout_dates.csv",
    "min_gap": _NO_CAP,
    "channel_cap": _NO_CAP,
    "total_cap": _NO_CAP,
    "fatigued": "a visit, an order or a reaction; {fatigue_signal_days} days after an unsubscribe or complaint",
}
#: Why a candidate of a campaign falls out before its channels are looked at.
_FALL_OUTS = {
    "campaign_inactive": "the campaign does not run on that day",
    "just_bought": "the user bought what it promotes in the last {just_bought_days} days",
    "over_audience_limit": "the campaign has a limit a day, and others are worth more; it is tried again the next day",
}


def why_of(reason: str, facts: Facts, policy: Policy, channel: str | None = None) -> str:
    """Return what a reason of a channel means; a reason that has no words here as it is written."""
    return _WHY[reason].format(**_named(facts, policy, channel)) if reason in _WHY else plain(reason)


def ends_of(reason: str, facts: Facts, policy: Policy) -> str | None:
    """Return what ends a reason that no date ends, None where nothing is known to."""
    return _ENDS[reason].format(**_named(facts, policy, None)) if reason in _ENDS else None


def fall_out_of(reason: str, facts: Facts, policy: Policy) -> str | None:
    """Return why a candidate fell out, None where the reason is one of its channels."""
    return _FALL_OUTS[reason].format(**_named(facts, policy, None)) if reason in _FALL_OUTS else None


def _named(facts: Facts, policy: Policy, channel: str | None) -> dict[str, Any]:
    return {
        "min_marketing_age": policy.min_marketing_age,
        "marketing_retention_days": f"{policy.marketing_retention_days:,}",
        "just_bought_days": policy.just_bought_days,
        "follow_up_days": policy.follow_up_days,
        "fatigue_signal_days": policy.fatigue_signal_days,
        "last_order_date": facts.measures.get("last_order_date") or "a date not known",
        "gap": policy.gaps.get(channel or "", "some"),
        "policy_segment": plain(facts.policy_segment or "such"),
    }


def free_from(eligibility: Eligibility, facts: Facts, policy: Policy) -> date | None:
    """Return the first date on which a channel is open if nothing more is sent, None where no date opens it."""
    if eligibility.is_eligible:
        return facts.plan_date
    pressure = facts.pressure_by_channel.get(eligibility.channel)
    by_caps = pressure.next_eligible_date if pressure else None
    if eligibility.reason == "post_purchase":
        last_order = facts.measures.get("last_order_date")
        if last_order is None:
            return None
        rested: date = last_order + timedelta(days=policy.follow_up_days + 1)
        return max(rested, by_caps) if by_caps else rested
    if eligibility.reason == "blackout":
        return _after_blackout(eligibility.channel, facts, policy)
    if eligibility.reason in ("min_gap", "channel_cap", "total_cap", "fatigued"):
        return by_caps
    return None


def _after_blackout(channel: str, facts: Facts, policy: Policy) -> date | None:
    """Return the first date without a blackout; None where none comes, or the country is not told."""
    country = str(facts.measures.get("country") or "").strip().upper()
    if country in ("", "OTHER") and any(row.country for row in policy.blackouts):
        return None
    for ahead in range(_BLACKOUT_DAYS):
        day = facts.plan_date + timedelta(days=ahead)
        if not any(
            (row.blackout_date == day or row.weekday == day.weekday())
            and row.channel in (None, channel)
            and row.country in (None, country)
            for row in policy.blackouts
        ):
            return day
    return None


def cap_use_in_words(pressure: Pressure) -> str:
    """Return the use of the caps: ``1d 0/2|7d 3/5`` as ``0 of 2 in 1 day, 3 of 5 in 7 days``.

    Of several caps of one window the lowest is told: the others never bind.
    """
    use: dict[int, tuple[int, int]] = {}
    for days, used, most in re.findall(r"(\d+)d (\d+)/(\d+)", pressure.cap_use or ""):
        use[int(days)] = min(use.get(int(days), (int(most), int(used))), (int(most), int(used)))
    return ", ".join(f"{used:,} of {most:,} in {count(days, 'day')}" for days, (most, used) in sorted(use.items()))


def count(number: int, noun: str) -> str:
    """Return ``1 day``, ``1,000 days``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else "".join(names)


def rule_of(segment: Segment) -> str:
    """Return the rule of a segment; a rest is said to be one."""
    if segment.rule is None:
        return "(the catalogue has no words for it)"
    return "No other segment of the family fits" if segment.rule.strip() == "All others" else plain(segment.rule)


def measures_of(family: str, facts: Facts) -> str:
    """Return what is known of the user that decides the segment, empty where nothing more is."""
    tell = _MEASURES.get(family)
    return plain(tell(facts)) if tell else ""


def _visits(facts: Facts) -> str:
    user = facts.measures
    if not user.get("visits"):
        return ""
    first, last = user["first_visit_date"], _ago(user["last_visit_date"], facts)
    return f"{count(user['visits'], 'visit')}, the first {first}, the last {last}"


def _outlook(facts: Facts) -> str:
    gap, last = facts.measures.get("expected_gap_days"), facts.measures.get("last_visit_date")
    if gap is None or last is None:
        return ""
    return f"last visit {_ago(last, facts)}; a visit is expected every {gap:.1f} days"


def _lead(facts: Facts) -> str:
    score = facts.measures.get("lead_score")
    return f"score {score:.1f}" if score else ""


def _affinity(facts: Facts) -> str:
    share, runner_up = facts.measures.get("category_affinity_share"), facts.measures.get("category_runner_up")
    if share is None:
        return ""
    return f"{share:.0%} of the interest goes to the first category" + (f"; next is {runner_up}" if runner_up else "")


def _left_behind(facts: Facts) -> str:
    found = [facts.measures.get("abandoned_product_id"), facts.measures.get("abandoned_category")]
    return ", ".join(f"{name} {value}" for name, value in zip(("product", "category"), found, strict=True) if value)


def _orders(facts: Facts) -> str:
    user = facts.measures
    if not user.get("orders"):
        return ""
    last = _ago(user["last_order_date"], facts)
    return f"{count(user['orders'], 'order')}, the last {last}; net revenue {user['net_revenue']:,}"


def _last_order(facts: Facts) -> str:
    last = facts.measures.get("last_order_date")
    return f"last order {_ago(last, facts)}" if last else ""


def _rfm(facts: Facts) -> str:
    row = facts.rfm
    if not row:
        return ""
    scores = f"R {row['r_score']}, F {row['f_score']}, M {row['m_score']}, FM {row['fm_score']}"
    orders = f"{count(row['frequency'], 'order')} worth {row['monetary']:,} in the window"
    return f"{scores}: last order {count(row['recency_days'], 'day')} ago, {orders}"


def _value(facts: Facts) -> str:
    return f"F {facts.rfm['f_score']}, M {facts.rfm['m_score']}" if facts.rfm else ""


def _basket(facts: Facts) -> str:
    mean, orders = facts.measures.get("mean_order_value"), facts.measures.get("orders_in_window")
    return f"{count(orders or 0, 'order')} in the year, {mean:,.2f} on average" if mean is not None else ""


def _reachable(facts: Facts) -> str:
    return str(facts.measures.get("reachable_channels") or "").replace("|", ", ")


def _contacts(facts: Facts) -> str:
    pressure = facts.pressure
    if pressure.days_since_last_contact is None:
        return ""
    return f"{count(pressure.contacts_7d, 'contact')} in 7 days, {pressure.contacts_30d:,} in 30"


def _ago(day: date, facts: Facts) -> str:
    days = (facts.as_of - day).days
    return f"{day} ({'that day' if days == 0 else count(days, 'day') + ' ago'})"


_MEASURES = {
    "engagement": _visits,
    "engagement_outlook": _outlook,
    "lead_temperature": _lead,
    "category_affinity": _affinity,
    "abandonment": _left_behind,
    "lifecycle": _orders,
    "rfm": _rfm,
    "value_tier": _value,
    "loyalty_basket": _basket,
    "buyer_recency": _last_order,
    "post_purchase": _last_order,
    "reachability": _reachable,
    "pressure_status": _contacts,
}
