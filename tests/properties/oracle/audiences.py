"""The built-in audiences: who could be contacted about what (rules, section 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

from .as_of import AsOf
from .buying import lifecycle, post_purchase
from .engagement import engagement
from .intent import abandonment, category_affinity, lead_temperature, purchase_stage
from .subscriptions import subscription
from .value import current_cuts, rfm

#: What an audience says of each candidate: what it returns beside the user_id.
Candidates = dict[str, dict[str, object]]


def _rfm(now: AsOf) -> dict[str, str]:
    return rfm(now, current_cuts(now))


def _segments(now: AsOf, family: Callable[[AsOf], Mapping[str, object]]) -> dict[str, str]:
    """The segment of everybody in a family, with or without something beside it."""
    rows = now.once(family)
    return {user: str(row["segment"]) if isinstance(row, Mapping) else str(row) for user, row in rows.items()}


def _in(now: AsOf, family: Callable[[AsOf], Mapping[str, object]], *segments: str) -> list[str]:
    """Who is in one of these segments of a family."""
    return [user for user, segment in _segments(now, family).items() if segment in segments]


def start_date(now: AsOf, user: str) -> date | None:
    """When somebody began: installed, else sent the first install event, else visited first."""
    installed_at = now.profiles.get(user, {}).get("installed_at")
    if installed_at is not None:
        return now.world.date_of(installed_at)
    installs = [now.world.date_of(event["timestamp"]) for event in now.events(user, "install")]
    visits = [visit.day for visit in now.visits[user].visits] if user in now.visits else []
    return min(installs or visits, default=None)


def _retention(now: AsOf, days: Sequence[int]) -> Candidates:
    """Who began that many days before the plan date, and has hardly come back or not of late."""

    def is_quiet(user: str) -> bool:
        if user not in now.visits or now.visits[user].count <= 1:
            return True
        return not any(now.is_in_last(day, now.world.retention_silent_days) for day in now.visits[user].days)

    found: Candidates = {}
    for user in now.users:
        start = start_date(now, user)
        if start is not None and days[0] <= (now.plan_date - start).days <= days[1] and is_quiet(user):
            found[user] = {}
    return found


def _second_visit(now: AsOf) -> Candidates:
    return {
        user: {}
        for user in _in(now, engagement, "one_time", "new")
        if now.events(user, "product_view") and user not in now.orders
    }


def _abandoned(now: AsOf, *segments: str) -> Candidates:
    rows = now.once(abandonment)
    return {
        user: {"product_id": rows[user]["product_id"], "category": rows[user]["category"]}
        for user in _in(now, abandonment, *segments)
    }


def _hot_lead_offer(now: AsOf) -> Candidates:
    faithful = _in(now, _rfm, "champions", "loyal")

    def has_ordered(user: str) -> bool:
        return any(now.is_in_last(order.day, now.world.hot_lead_order_days) for order in now.orders.get(user, []))

    return {user: {} for user in _in(now, lead_temperature, "hot") if not has_ordered(user) and user not in faithful}


def _post_purchase_care(now: AsOf) -> Candidates:
    return {
        user: {"since": now.last_ordered_at(user)}
        for user in now.users
        if any(now.age(order.day) == 0 for order in now.orders.get(user, []))
    }


def _next_cycle(now: AsOf) -> Candidates:
    return {user: {"since": now.last_ordered_at(user)} for user in _in(now, post_purchase, "cycle_due")}


def _category_news(now: AsOf) -> Candidates:
    found: Candidates = {}
    for user, category in _segments(now, category_affinity).items():
        setting = now.world.category_settings.get(category)
        if setting is not None and setting.news_campaign_id is not None:
            found[user] = {"campaign_id": setting.news_campaign_id, "category": category}
    return found


AUDIENCES: dict[str, Callable[[AsOf], Candidates]] = {
    "retention_day_15": lambda now: _retention(now, now.world.retention_first_days),
    "retention_day_30": lambda now: _retention(now, now.world.retention_second_days),
    "reactivate_dormant": lambda now: dict.fromkeys(_in(now, engagement, "dormant"), {}),
    "second_visit": _second_visit,
    "abandoned_cart": lambda now: _abandoned(now, "cart", "checkout"),
    "abandoned_browse": lambda now: _abandoned(now, "product", "search"),
    "hot_lead_offer": _hot_lead_offer,
    "post_purchase_care": _post_purchase_care,
    "next_cycle": _next_cycle,
    "win_back_renewal": lambda now: dict.fromkeys(_in(now, subscription, "renewal_risk"), {}),
    "win_back_lapsed": lambda now: dict.fromkeys(_in(now, lifecycle, "lapsed"), {}),
    "champions_thanks": lambda now: dict.fromkeys(_in(now, _rfm, "champions"), {}),
    "category_news": _category_news,
    "ladder_content": lambda now: dict.fromkeys(_in(now, purchase_stage, "problem_aware", "solution_aware"), {}),
}


def audiences(now: AsOf) -> dict[str, Candidates]:
    """The candidates of every built-in audience."""
    return {name: audience(now) for name, audience in AUDIENCES.items()}
