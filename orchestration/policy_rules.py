"""What a right policy is, in tables: the vars, the order between them, the seeds, and the meta of audiences."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.landing.contract import DATASETS


@dataclass(frozen=True)
class Rule:
    """What a value must be: in words, and as a function."""

    words: str
    fits: Callable[[Any], bool]


def _number(words: str, least: float, most: float = 1e9, whole: bool = False) -> Rule:
    kinds = (int,) if whole else (int, float, Decimal)
    return Rule(words, lambda v: isinstance(v, kinds) and not isinstance(v, bool) and least <= v <= most)


def _one_of(*known: str) -> Rule:
    return Rule(f"one of {', '.join(known)}", lambda v: v in known)


def _text(words: str, pattern: str) -> Rule:
    return Rule(words, lambda v: isinstance(v, str) and re.fullmatch(pattern, v) is not None)


def _or_null(rule: Rule) -> Rule:
    return Rule(f"{rule.words}, or null", lambda v: v is None or rule.fits(v))


def _list_of(words: str, rule: Rule, least: int = 0) -> Rule:
    """Return the rule of a list of at least so many, without doubles."""
    return Rule(words, lambda v: isinstance(v, list) and all(map(rule.fits, v)) and least <= len(set(v)) == len(v))


def _is_date(value: Any) -> bool:
    if not isinstance(value, str) or len(value) != 10:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_time_zone(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(ZoneInfo(value).key)
    except (ValueError, OSError, KeyError):
        return False


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_WHOLE.fits, value)) and value[0] <= value[1]


_DAYS = _number("a whole number of days, 1 to 36500", 1, 36500, whole=True)
_COUNT = _number("a whole number, 1 or more", 1, whole=True)
_WHOLE = _number("a whole number, 0 or more", 0, whole=True)
_AMOUNT = _number("a number, 0 or more", 0)
_POSITIVE = Rule("a number above 0", lambda v: _AMOUNT.fits(v) and v > 0)
_SHARE = _number("a share from 0 to 1", 0, 1)
_CODE = _text("letters, digits, _, . and -", r"[\w.-]+")
_EXACT_SHARE = Rule("a share from 0 to 1 with at most six decimals", lambda v: _SHARE.fits(v) and _has_decimals(v, 6))
_SCORE = _number("a whole number from 1 to 5", 1, 5, whole=True)
_SUM_OF_SCORES = _number("a whole number from 2 to 10", 2, 10, whole=True)
_DATE = Rule('a date in quotes, like "2024-01-01"', _is_date)
_TIME_ZONE = Rule("a time zone like UTC or Europe/Berlin", _is_time_zone)
_CURRENCY = _text("a currency code like EUR", "[A-Z]{3}")
_RANGE = Rule("two whole numbers of days, the first at most the second, like [15, 17]", _is_range)

_BETWEEN_0_AND_1 = Rule("a number between 0 and 1", lambda v: _SHARE.fits(v) and 0 < v < 1)
_ABOVE_1 = Rule("a number above 1", lambda v: _AMOUNT.fits(v) and v > 1)
#: Datasets whose rows of a day are compared with those of the weeks before.
_CHECKED_DATASETS = dict.fromkeys(("events", "orders", "messages", "message_events")).keys()

VARS: Mapping[str, Rule] = {
    "first_as_of": _DATE,
    "business_time_zone": _TIME_ZONE,
    "business_currency": _CURRENCY,
    "min_event_date": _DATE,
    "max_days_without_a_run": _DAYS,
    "settle_seconds": _AMOUNT,
    "user_id_is_address": _one_of("stop", "hash"),
    "max_address_like_share": _SHARE,
    "rows_built_at_once": _COUNT,
    "retention_days": _DAYS,
    "intraday_retention_days": _DAYS,
    "reject_retention_days": _DAYS,
    "pipeline_runs_retention_days": _DAYS,
    "report_languages": _list_of("a list of some of en, fr, without doubles", _one_of("en", "fr"), least=1),
    "rows_check_delay_days": Rule(
        f"a whole number of days, 0 or more, for some of {', '.join(_CHECKED_DATASETS)}",
        lambda v: (
            isinstance(v, dict) and len(v) > 0 and v.keys() <= _CHECKED_DATASETS and all(map(_WHOLE.fits, v.values()))
        ),
    ),
    "rows_check_weeks": _COUNT,
    "rows_check_min_weeks": _COUNT,
    "rows_check_min_rows": _COUNT,
    "rows_check_fall_share": _SHARE,
    "rows_check_jump_factor": _ABOVE_1,
    "segments_check_days": _DAYS,
    "segments_check_min_dates": _COUNT,
    "segments_check_min_users": _COUNT,
    "segments_check_fall_share": _SHARE,
    "segments_check_jump_factor": _ABOVE_1,
    "clock_check_min_events": _COUNT,
    "clock_ahead_minutes": _AMOUNT,
    "clock_behind_minutes": _AMOUNT,
    "max_users_per_device": _COUNT,
    "link_back_days": _or_null(_number("a whole number of days, 0 or more", 0, whole=True)),
    "visit_gap_minutes": _number("a whole number of minutes, 1 or more", 1, whole=True),
    "rfm_window_days": _DAYS,
    "rfm_cut_policy": _one_of("monthly", "daily", "fixed"),
    "rfm_min_cut_population": _COUNT,
    "unpublished_families": _list_of(
        "a list of names of families, each once", Rule("a name", lambda v: isinstance(v, str))
    ),
    # fewer would fold families whose segments are named, such as rfm with its twelve
    "family_max_segments": _number("a whole number, 12 or more", 12, whole=True),
    "declared_min_users": _COUNT,
    "declared_max_age": _number("a whole number of years, 1 or more", 1, whole=True),
    "engagement_new_days": _DAYS,
    "engagement_dormant_days": _DAYS,
    "outlook_gap_window_days": _DAYS,
    "outlook_prior_gaps": _COUNT,
    "outlook_default_gap_days": _DAYS,
    "outlook_risky_factor": _POSITIVE,
    "outlook_promising_visit_days": _COUNT,
    "outlook_promising_cart_adds": _COUNT,
    "outlook_promising_product_views": _COUNT,
    "outlook_reaction_days": _DAYS,
    "order_year_days": _DAYS,
    "lifecycle_lapsing_days": _DAYS,
    "lifecycle_lapsed_days": _DAYS,
    "lifecycle_churned_days": _DAYS,
    "lifecycle_loyal_orders": _COUNT,
    "loyalty_basket_frequent_orders": _COUNT,
    "value_tier_very_good_score": _SCORE,
    "value_tier_good_sum": _SUM_OF_SCORES,
    "value_tier_average_sum": _SUM_OF_SCORES,
    "buyer_recency_week_days": _DAYS,
    "buyer_recency_month_days": _DAYS,
    "buyer_recency_year_days": _DAYS,
    "post_purchase_follow_up_days": _DAYS,
    "post_purchase_cycle_days": _DAYS,
    "purchase_stage_days": _DAYS,
    "lead_days": _DAYS,
    "lead_hot_score": _POSITIVE,
    "lead_warm_score": _POSITIVE,
    "lead_hot_view_dates": _COUNT,
    "lead_hot_view_days": _DAYS,
    "affinity_days": _DAYS,
    "affinity_min_share": _SHARE,
    "affinity_min_signals": _COUNT,
    "affinity_line_weight": _AMOUNT,
    "subscription_risk_days": _DAYS,
    "subscription_decline_ahead_days": _DAYS,
    "subscription_decline_window_days": _DAYS,
    "subscription_decline_min_visits": _COUNT,
    "subscription_decline_share": _SHARE,
    "message_new_subscriber_days": _DAYS,
    "message_click_days": _DAYS,
    "message_open_days": _DAYS,
    "message_passive_days": _DAYS,
    "message_passive_contacts": _COUNT,
    "fatigue_signal_days": _DAYS,
    "fatigue_contact_days": _DAYS,
    "fatigue_contacts": _COUNT,
    "pressure_near_cap_share": _SHARE,
    "pressure_rested_days": _DAYS,
    "pressure_short_days": _DAYS,
    "pressure_month_days": _DAYS,
    "pressure_decay_days": _DAYS,
    # columns of contact_pressure are named after them
    "response_days": Rule("[30, 90]", lambda v: v == [30, 90]),
    "negative_signal_days": _DAYS,
    "plan_grace_days": _number("a whole number of days, 0 or more", 0, 36500, whole=True),
    "min_marketing_age": _number("a whole number of years, 0 or more", 0, whole=True),
    "marketing_retention_days": _DAYS,
    "just_bought_days": _number("a whole number of days, 0 or more", 0, 36500, whole=True),
    "response_min_contacts": _COUNT,
    "retention_first_days": _RANGE,
    "retention_second_days": _RANGE,
    "retention_silent_days": _DAYS,
    "hot_lead_order_days": _DAYS,
    "quality_max_segments": _COUNT,
    "quality_min_share": _SHARE,
    "quality_sample_users": _number("a whole number from 100 to 20000", 100, 20000, whole=True),
    "profile_min_users": _COUNT,
    "backtest_months": _number("a whole number of months, 0 to 24", 0, 24, whole=True),
    "backtest_truth_days": _DAYS,
    "assumed_delay_days": _number("a whole number of days, 0 or more", 0, 36500, whole=True),
    "measures_days": _DAYS,
    "outcome_days": _DAYS,
    "outcome_visit_days": _DAYS,
    "ab_test_significance": _BETWEEN_0_AND_1,
    "ab_test_power": _BETWEEN_0_AND_1,
    "ab_test_balance_p": _SHARE,
    "ab_test_min_users": _COUNT,
    "fatigue_days": _DAYS,
    "fatigue_max_contacts": _COUNT,
    "dose_min_f": _POSITIVE,
}

#: The first var must be below the second, or not above it: what lies between would reach nobody.
ORDERS: Sequence[tuple[str, str, str]] = (
    ("lifecycle_lapsing_days", "<", "lifecycle_lapsed_days"),
    ("lifecycle_lapsed_days", "<", "lifecycle_churned_days"),
    ("buyer_recency_week_days", "<", "buyer_recency_month_days"),
    ("buyer_recency_month_days", "<", "buyer_recency_year_days"),
    ("post_purchase_follow_up_days", "<", "post_purchase_cycle_days"),
    ("value_tier_average_sum", "<=", "value_tier_good_sum"),
    ("lead_warm_score", "<", "lead_hot_score"),
    ("lead_hot_view_dates", "<=", "lead_hot_view_days"),
    ("lead_hot_view_days", "<=", "lead_days"),
    ("subscription_risk_days", "<=", "subscription_decline_ahead_days"),
    ("pressure_short_days", "<", "pressure_month_days"),
    ("rows_check_min_weeks", "<=", "rows_check_weeks"),
)


def channels_of(text: str) -> list[str]:
    """Return the channels of a row of campaign_settings, in order."""
    return text.split("|")


def variants_of(text: str) -> list[tuple[str, Decimal]]:
    """Return name and share of the variants of a row of campaign_settings, in order; ValueError if it has no such."""
    pairs = [variant.rpartition(":") for variant in text.split("|")]
    if not all(re.fullmatch(r"\d(\.\d{1,6})?", share) for _, _, share in pairs):
        raise ValueError(text)
    return [(name, Decimal(share)) for name, _, share in pairs]


def _is_listed(names: Sequence[str]) -> bool:
    return all(map(_CODE.fits, names)) and len(set(names)) == len(names)


def _are_variants(text: str) -> bool:
    try:
        variants = variants_of(text)
    except ValueError:
        return False
    return _is_listed([name for name, _ in variants]) and _sum_to_1([share for _, share in variants])


def _sum_to_1(shares: Iterable[Any]) -> bool:
    """Whether each is a share from 0 to 1 with at most six decimals, and they sum to exactly 1."""
    given = list(shares)
    return all(map(_EXACT_SHARE.fits, given)) and sum(Decimal(str(share)) for share in given) == 1


def _has_decimals(value: Any, most: int) -> bool:
    """Whether a number has at most so many decimals."""
    exponent = Decimal(str(value)).normalize().as_tuple().exponent
    return isinstance(exponent, int) and -exponent <= most


@dataclass(frozen=True)
class SeedRule:
    """What a seed must be like, beside the types of its columns, which dbt_project.yml declares.

    No two rows have the same of one of its ``keys``; a column in ``any_case`` is compared without case. Only what is
    ``optional`` may be empty.
    """

    keys: Sequence[tuple[str, ...]]
    columns: Mapping[str, Rule] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    any_case: frozenset[str] = frozenset()


RFM_SCORES = ("r", "f", "m", "fm")
_RFM_RANGES = tuple(f"{score}_{end}" for score in RFM_SCORES for end in ("min", "max"))
_EVENT_CLASSES = (
    "visit", "content", "search", "category_view", "product_view", "wishlist", "cart_add", "cart_remove", "checkout",
    "purchase", "install", "uninstall",
)  # fmt: skip
_STAGES = ("unaware", "problem_aware", "solution_aware", "product_aware", "most_aware")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
POLICY_SEGMENTS = ("fatigued", "recent_buyer", "dormant", "new", "one_time", "engaged", "default")
#: RFM scores of a cell -> how messages call it.
CELLS = {(r, f, m, (f + m + 1) // 2): f"R{r} F{f} M{m}" for r, f, m in product(range(1, 6), range(1, 6), range(1, 6))}
MEASURES = ("recency", "frequency", "monetary")
CUTS = (1, 2, 3, 4)

SEEDS: Mapping[str, SeedRule] = {
    "channels": SeedRule(
        [("channel",)],
        {
            "channel": _text("small letters, digits and _", "[a-z0-9_]+"),
            "address_kind": _one_of("email", "phone", "device", "chat_id", "user_id"),
            "intrusiveness": _AMOUNT,
            "message_cost": _AMOUNT,
        },
    ),
    "event_taxonomy": SeedRule(
        [("event",)],
        {
            "class": _one_of(*_EVENT_CLASSES),
            "intent_weight": _AMOUNT,
            "interest_weight": _AMOUNT,
            "awareness_stage": _one_of(*_STAGES),
        },
        optional=frozenset({"vocabulary"}),
        any_case=frozenset({"event"}),
    ),
    "consent_statuses": SeedRule(
        [("synonym",)], {"status": _one_of("granted", "withdrawn")}, any_case=frozenset({"synonym"})
    ),
    "acknowledged_rejects": SeedRule(
        [("dataset", "file_sha256", "row_number")],
        {
            "dataset": _one_of(*DATASETS),
            "file_sha256": _text("a SHA-256 as the run names it: 64 of 0-9 and a-f", "[0-9a-f]{64}"),
            "row_number": _COUNT,
        },
        optional=frozenset({"row_number", "note"}),
    ),
    "exchange_rates": SeedRule(
        [("currency", "rate_date")],
        {"currency": _text("a currency code like USD", "[A-Za-z]{3}"), "rate": _POSITIVE},
        any_case=frozenset({"currency"}),
    ),
    "decay_factors": SeedRule([("age_days",)], {"age_days": _WHOLE, "factor": _SHARE}),
    "rfm_map": SeedRule([], dict.fromkeys(_RFM_RANGES, _SCORE), optional=frozenset(_RFM_RANGES)),
    "rfm_fixed_cut_points": SeedRule(
        [("measure", "cut")],
        {"measure": _one_of(*MEASURES), "cut": _number("a whole number from 1 to 4", 1, 4, whole=True)},
    ),
    "segment_catalog_entries": SeedRule(
        [("family", "position"), ("family", "segment")],
        {"position": _COUNT},
        optional=frozenset({"objective", "channel", "message", "frequency", "offer"}),
    ),
    "age_bands": SeedRule(
        [("age_band",)], {"from_age": _WHOLE, "to_age": _WHOLE}, optional=frozenset({"to_age"})
    ),
    "declared_order": SeedRule(
        [("family", "declared"), ("family", "position")],
        {"family": _one_of("interest", "value"), "position": _COUNT},
    ),
    "contact_policy": SeedRule(
        [("policy_segment", "channel", "window_days")],
        {"policy_segment": _one_of("*", *POLICY_SEGMENTS), "window_days": _DAYS, "max_contacts": _WHOLE},
    ),
    "channel_gaps": SeedRule([("channel",)], {"min_days": _WHOLE}),
    "blackout_dates": SeedRule(
        [("blackout_date", "weekday", "channel", "country")],
        {"weekday": _one_of(*WEEKDAYS)},
        optional=frozenset({"blackout_date", "weekday", "channel", "country", "note"}),
        any_case=frozenset({"country"}),
    ),
    "send_hours": SeedRule(
        [("channel", "country")],
        {
            "send_from": _number("a whole hour from 0 to 23", 0, 23, whole=True),
            "send_until": _number("a whole hour from 1 to 24", 1, 24, whole=True),
        },
        optional=frozenset({"country"}),
        any_case=frozenset({"country"}),
    ),
    "do_not_contact": SeedRule([("user_id",)], optional=frozenset({"note"})),
    "campaign_settings": SeedRule(
        [("campaign_id",)],
        {
            "value": _AMOUNT,
            "channels": Rule("channels like email|push, each once", lambda v: _is_listed(channels_of(v))),
            "holdout_share": _SHARE,
            "variants": Rule("names and shares that sum to 1, like control:0.5|offer:0.5", _are_variants),
            "repeat_after_days": _DAYS,
            "max_sends": _COUNT,
            "max_per_day": _COUNT,
        },
        optional=frozenset({
            "is_active", "value", "channels", "holdout_share", "variants", "salt", "repeat_after_days", "max_sends",
            "max_per_day", "test_ends_on", "note",
        }),
    ),
    "category_settings": SeedRule([("category",)], optional=frozenset({"news_campaign_id"})),
    "universal_holdout": SeedRule([("valid_from",), ("salt",)], {"share": _SHARE}),
    "dose_arms": SeedRule(
        [("valid_from",), ("salt",)], {"share": _number("a share from 0 to 0.5: there are two arms of it", 0, 0.5)}
    ),
}  # fmt: skip

MESSAGE_CLASSES = ("marketing", "transactional", "service")
#: Columns that the model of an audience may have beside user_id.
RETURNED = ("campaign_id", "value", "product_id", "category", "since")

#: What data may lack, which families and audiences may need: a column of a dataset each (the model
#: int_attribute_coverage says of whom it is known).
ATTRIBUTES = (
    "addresses.address", "consents.status", "events.category", "events.user_id", "message_events.event",
    "orders.currency", "orders.order_id", "subscriptions.renews_at", "users.birth_date", "users.city", "users.country",
    "users.declared_values", "users.education", "users.gender", "users.income_band", "users.installed_at",
    "users.interests", "users.region",
)  # fmt: skip
_ATTRIBUTE_LIST = _list_of(f"a list out of {', '.join(ATTRIBUTES)}, each once", _one_of(*ATTRIBUTES))
#: Measures of users by which families are judged.
QUALITY_MEASURES = ("visits_30d", "orders_365d", "revenue_365d", "contacts_30d", "click_rate_90d")
#: What the meta of a family may hold, in its page.
FAMILY_META: Mapping[str, Rule] = {
    "built_from": _list_of(f"a list out of {', '.join(QUALITY_MEASURES)}, each once", _one_of(*QUALITY_MEASURES)),
    "needs": _ATTRIBUTE_LIST,
}

_WORDS = _text("a text of one line, without braces", r"[^{}\n]*[^{}\s][^{}\n]*")
_BOOLEAN = Rule("true or false", lambda v: isinstance(v, bool))
META_REQUIRED = ("objective", "criteria", "offer", "channels", "value")
#: What the meta of an audience may hold.
META: Mapping[str, Rule] = {
    "objective": _WORDS,
    "criteria": _WORDS,
    "offer": _WORDS,
    "channels": _list_of("a list of channels, each once, the preferred one first", _CODE, 1),
    "value": Rule("a number, 0 or more, with at most two decimals", lambda v: _AMOUNT.fits(v) and _has_decimals(v, 2)),
    "message_class": _one_of(*MESSAGE_CLASSES),
    "holdout_share": _EXACT_SHARE,
    "variants": Rule(
        "a name and a share for each, like {'control': 0.5, 'offer': 0.5}, which sum to 1",
        lambda v: isinstance(v, dict) and all(map(_CODE.fits, v)) and _sum_to_1(v.values()),
    ),
    "salt": _text("a text in quotes", r"\S+"),
    "repeat_after_days": _DAYS,
    "max_sends": _COUNT,
    "max_per_day": _COUNT,
    "each_order": _BOOLEAN,
    "drops_silent_channels": _BOOLEAN,
    "promotes_category": _WORDS,
    "returns": _list_of(f"a list out of {', '.join(RETURNED)}, each once", _one_of(*RETURNED)),
    "needs": _ATTRIBUTE_LIST,
}
