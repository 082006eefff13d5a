"""What campaigns brought, and what the arms of their tests did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from .as_of import AsOf
from .contacts import Contact, is_human_click
from .engagement import engagement
from .orders import Order

#: Campaign, variant, channel, engagement segment.
Key = tuple[str | None, str | None, str, str]


def _is_over(now: AsOf, message: Contact, days: int) -> bool:
    return now.age(message.sent_at + timedelta(days=days)) >= 0


def _segment(now: AsOf, message: Contact, looks: dict[date, dict[str, str]]) -> str:
    """The segment as of the day before, as it was known then; who was not known then had never been seen."""
    day = message.contact_date - timedelta(days=1)
    if day not in looks:
        looks[day] = engagement(AsOf(now.world, day))
    return looks[day].get(message.user_id, "never_seen")


def _touches(now: AsOf, order: Order, messages: Iterable[Contact]) -> list[Contact]:
    """The messages that arrived in the 7 days before an order, the last one last."""
    days = timedelta(days=now.world.outcome_days)
    found = [
        message
        for message in messages
        if message.user_id == order.user_id
        and message.sent_at < order.ordered_at <= message.sent_at + days
        and not message.is_failed
        and not message.is_bounced
    ]
    return sorted(found, key=lambda message: (message.sent_at, message.message_id))


def campaign_performance(now: AsOf) -> dict[Key, dict[str, Any]]:
    """A row a campaign, variant, channel and segment."""
    world = now.world
    messages = [m for m in now.messages.values() if now.is_in_last(m.contact_date, world.measures_days)]
    looks: dict[date, dict[str, str]] = {}
    key_of: dict[str, Key] = {
        m.message_id: (m.campaign_id, m.variant, m.channel, _segment(now, m, looks)) for m in messages
    }
    any_touch: dict[Key, dict[str, Order]] = defaultdict(dict)
    last_touch: dict[Key, dict[str, Order]] = defaultdict(dict)
    for orders in now.orders.values():
        for order in orders:
            touches = _touches(now, order, messages)
            for message in touches:
                any_touch[key_of[message.message_id]][order.order_id] = order
            if touches:
                last_touch[key_of[touches[-1].message_id]][order.order_id] = order
    rows: dict[Key, dict[str, Any]] = {}
    for key in set(key_of.values()):
        sent = [m for m in messages if key_of[m.message_id] == key]
        measured = [m for m in sent if _is_over(now, m, world.outcome_days)]
        away = [m for m in sent if key[3] in ("dormant", "one_time") and _is_over(now, m, world.outcome_visit_days)]
        row: dict[str, Any] = {"sent": len(sent), "measured": len(measured), "reengageable": len(away)}
        row["reengaged"] = sum(_has_come_back(now, m) for m in away)
        for name in ("delivered", "opened", "clicked", "unsubscribed", "complained"):
            row[name] = sum(getattr(m, f"is_{name}") for m in sent)
            row[f"measured_{name}"] = sum(getattr(m, f"is_{name}") for m in measured)
        for name, touched in (("any_touch", any_touch[key]), ("last_touch", last_touch[key])):
            row[f"{name}_orders"] = len(touched)
            row[f"{name}_revenue"] = sum((order.net or Decimal(0) for order in touched.values()), Decimal(0))
        rates = {"delivered_rate": "delivered", "unsubscribe_rate": "unsubscribed", "complaint_rate": "complained"}
        if world.channels[key[2]].reports_reactions:
            rates |= {"open_rate": "opened", "click_rate": "clicked"}
        row |= {"open_rate": None, "click_rate": None}
        for rate, name in rates.items():
            row[rate] = row[f"measured_{name}"] / len(measured) if measured else None
        row["reengagement_rate"] = row["reengaged"] / len(away) if away else None
        rows[key] = row
    return rows


def _has_come_back(now: AsOf, message: Contact) -> bool:
    visits = now.visits.get(message.user_id)
    if visits is None or message.is_failed or message.is_bounced:
        return False
    until = message.sent_at + timedelta(days=now.world.outcome_visit_days)
    return any(message.sent_at < visit.begins <= until for visit in visits.visits)


#: Campaign, comparison, arm, metric -> assigned, users, total, total of squares.
Arms = dict[tuple[str, str, str, str], tuple[int, int, Decimal, Decimal]]


def ab_test_arms(now: AsOf) -> Arms:
    """Sums over the users of each arm of each test that has users."""
    units = _units(now)
    sums: dict[tuple[str, str, str, str], list[Any]] = {}
    for (campaign, user), (starts_on, variant, holdout) in units.items():
        if holdout == "universal":
            continue
        places = [("holdout", "holdout" if holdout else "all")] if _has_holdout(now, campaign) else []
        if (
            holdout is None
            and variant is not None
            and (variant in _listed(now, campaign) or not _is_planned(now, campaign))
        ):
            places.append(("variants", variant))
        done = _done(now, campaign, user, starts_on)
        for comparison, arm in places:
            for metric, value in done.items():
                if comparison == "holdout" and metric in ("click", "unsubscribe"):
                    continue
                days = now.world.outcome_visit_days if metric == "visit" else now.world.outcome_days
                is_over = starts_on + timedelta(days=days - 1) <= now.day
                row = sums.setdefault((campaign, comparison, arm, metric), [0, 0, Decimal(0), Decimal(0)])
                row[0] += 1
                if is_over:
                    row[1] += 1
                    row[2] += value
                    row[3] += value * value
    return {key: (row[0], row[1], row[2], row[3]) for key, row in sums.items()}


def _is_planned(now: AsOf, campaign: str) -> bool:
    return any(row["campaign_id"] == campaign and row["plan_date"] <= now.day for row in now.world.planned_contacts)


def _listed(now: AsOf, campaign: str) -> list[str]:
    setting = now.world.campaign_settings.get(campaign)
    return [name for name, _ in (setting and setting.variants) or ()]


def _has_holdout(now: AsOf, campaign: str) -> bool:
    setting = now.world.campaign_settings.get(campaign)
    return _is_planned(now, campaign) and bool(setting and setting.holdout_share)


def _units(now: AsOf) -> dict[tuple[str, str], tuple[date, str | None, str | None]]:
    """First date, variant and holdout of each user of each campaign."""
    found: dict[tuple[str, str], tuple[date, str | None, str | None]] = {}
    planned = [row for row in now.world.planned_contacts if row["plan_date"] <= now.day]
    for row in sorted(planned, key=lambda row: (row["plan_date"], row["audience"], row["channel"])):
        if _listed(now, row["campaign_id"]) or _has_holdout(now, row["campaign_id"]):
            key = (row["campaign_id"], row["user_id"])
            found.setdefault(key, (row["plan_date"], row["variant"], row.get("holdout_kind")))
    messages: list[Contact] = sorted(now.messages.values(), key=lambda m: (m.sent_at, m.message_id))
    of_variants = {
        m.campaign_id
        for m in messages
        if m.variant is not None and now.is_in_last(m.contact_date, now.world.measures_days)
    }
    for message in messages:
        campaign = message.campaign_id
        if campaign is not None and campaign in of_variants and not _is_planned(now, campaign):
            found.setdefault((campaign, message.user_id), (message.contact_date, message.variant, None))
    return {key: unit for key, unit in found.items() if now.is_in_last(unit[0], now.world.measures_days)}


def _done(now: AsOf, campaign: str, user: str, starts_on: date) -> dict[str, Decimal]:
    """What a user did in the days of a test, by metric."""
    last = starts_on + timedelta(days=now.world.outcome_days - 1)
    orders = [order for order in now.orders.get(user, []) if starts_on <= order.day <= last]
    events = [
        event
        for message in now.messages_to(user)
        if message.campaign_id == campaign and starts_on <= message.contact_date <= last
        for event in now.events_of(message.message_id)
        if _date(now, event["occurred_at"]) <= last
    ]
    visits = now.visits.get(user)
    last_visit = starts_on + timedelta(days=now.world.outcome_visit_days - 1)
    return {
        "click": Decimal(any(is_human_click(event) or event["event"] == "replied" for event in events)),
        "unsubscribe": Decimal(any(event["event"] == "unsubscribed" for event in events)),
        "order": Decimal(bool(orders)),
        "revenue": sum((order.net or Decimal(0) for order in orders), Decimal(0)),
        "visit": Decimal(visits is not None and any(starts_on <= day <= last_visit for day in visits.days)),
    }


def _date(now: AsOf, moment: datetime) -> date:
    return now.world.date_of(moment)
