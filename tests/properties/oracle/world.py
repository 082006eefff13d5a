"""A world: the landing rows that a user supplied, and the settings that tables are computed with.

Rows are typed as the raw contract says: times are aware datetimes, numbers are Decimal, dates are dates,
lists are lists, JSON is its text. A column that a row lacks is null. All versions and duplicates are there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

Row = Mapping[str, Any]
CutPolicy = Literal["monthly", "daily", "fixed"]


@dataclass(frozen=True)
class EventMeaning:
    """What the taxonomy says about one event name."""

    event_class: str
    is_visit: bool
    intent_weight: Decimal = Decimal(0)
    interest_weight: Decimal = Decimal(0)
    awareness_stage: str = "unaware"


@dataclass(frozen=True)
class Channel:
    """What the seed of channels says about one channel."""

    address_kind: str
    weight: Decimal
    counts: bool = True
    reports_reactions: bool = True
    needs_consent: bool = True
    invalidated_by_uninstall: bool = False
    transactional_needs_consent: bool = False


@dataclass(frozen=True)
class ExchangeRate:
    """One unit of ``currency`` is worth ``rate`` units of the business currency from ``valid_from`` on."""

    currency: str
    valid_from: date
    rate: Decimal


class PolicyRow(NamedTuple):
    """One cap: at most so many contacts in a window of days; ``*`` is every segment, ``all`` every channel."""

    policy_segment: str
    channel: str
    window_days: int
    max_contacts: int


class Blackout(NamedTuple):
    """A date or a weekday (monday ... sunday) on which nobody is contacted; no channel, no country: on all of them."""

    day: date | None
    weekday: str | None
    channel: str | None
    country: str | None


class UniversalHoldout(NamedTuple):
    """The share of everybody who gets nothing, from a date on."""

    valid_from: date
    salt: str
    share: Decimal


class DoseArms(NamedTuple):
    """The share of everybody in each of the two arms of the dose test, from a date on."""

    valid_from: date
    salt: str
    share: Decimal


class CategorySetting(NamedTuple):
    """What the seed of categories says about one."""

    is_replenishable: bool = False
    news_campaign_id: str | None = None


@dataclass(frozen=True)
class Audience:
    """What an audience says of itself: how its candidates are contacted, unless its campaign's setting says else.

    ``each_order``: only what was sent after the order that made somebody a candidate is a repetition.
    ``returns``: what the audience says of a candidate beside the user_id.
    """

    channels: tuple[str, ...] = ("email",)
    value: Decimal = Decimal(0)
    message_class: str = "marketing"
    holdout_share: Decimal = Decimal(0)
    variants: tuple[tuple[str, Decimal], ...] = ()
    salt: str = "1"
    repeat_after_days: int | None = None
    max_sends: int | None = None
    max_per_day: int | None = None
    each_order: bool = False
    drops_silent_channels: bool = False
    promotes_category: str | None = None
    returns: tuple[str, ...] = ()


@dataclass(frozen=True)
class CampaignSetting:
    """What the seed of campaigns says about one; None: as the audience says."""

    is_active: bool | None = None
    value: Decimal | None = None
    channels: tuple[str, ...] | None = None
    holdout_share: Decimal | None = None
    variants: tuple[tuple[str, Decimal], ...] | None = None
    salt: str | None = None
    repeat_after_days: int | None = None
    max_sends: int | None = None
    max_per_day: int | None = None


def _meaning(name: str, is_visit: bool, intent: str, interest: int, stage: str) -> EventMeaning:
    return EventMeaning(name, is_visit, Decimal(intent), Decimal(interest), stage)


TAXONOMY: dict[str, EventMeaning] = {
    "page": _meaning("content", True, "0.1", 0, "problem_aware"),
    "screen": _meaning("content", True, "0.1", 0, "problem_aware"),
    "Products Searched": _meaning("search", True, "0.6", 0, "solution_aware"),
    "Product List Viewed": _meaning("category_view", True, "0.4", 1, "solution_aware"),
    "Product Viewed": _meaning("product_view", True, "1", 1, "product_aware"),
    "Product Added": _meaning("cart_add", True, "3", 3, "most_aware"),
    "Product Removed": _meaning("cart_remove", True, "0", 0, "most_aware"),
    "Checkout Started": _meaning("checkout", True, "5", 0, "most_aware"),
    "Order Completed": _meaning("purchase", True, "5", 0, "most_aware"),
    "Application Opened": _meaning("visit", True, "0.1", 0, "problem_aware"),
    "Application Installed": _meaning("install", False, "0.5", 0, "problem_aware"),
    "Application Uninstalled": _meaning("uninstall", False, "0", 0, "unaware"),
}

CHANNELS: dict[str, Channel] = {
    "email": Channel("email", Decimal("1")),
    "sms": Channel("phone", Decimal("3"), reports_reactions=False),
    "push": Channel("device", Decimal("2"), invalidated_by_uninstall=True),
    "web_push": Channel("device", Decimal("1.5")),
    "in_app": Channel("user_id", Decimal("0.5"), needs_consent=False),
    "whatsapp": Channel("phone", Decimal("3")),
    "telegram": Channel("chat_id", Decimal("2")),
    "viber": Channel("chat_id", Decimal("2")),
    "voice": Channel("phone", Decimal("4"), reports_reactions=False),
}

AGE_BANDS: tuple[tuple[str, int, int | None], ...] = (
    ("under_18", 0, 17),
    ("18_24", 18, 24),
    ("25_34", 25, 34),
    ("35_44", 35, 44),
    ("45_54", 45, 54),
    ("55_64", 55, 64),
    ("65_plus", 65, None),
)


@dataclass(frozen=True)
class World:
    """The rows of the datasets and the settings."""

    events: Sequence[Row] = ()
    orders: Sequence[Row] = ()
    order_items: Sequence[Row] = ()
    users: Sequence[Row] = ()
    identities: Sequence[Row] = ()
    addresses: Sequence[Row] = ()
    consents: Sequence[Row] = ()
    messages: Sequence[Row] = ()
    message_events: Sequence[Row] = ()
    campaigns: Sequence[Row] = ()
    products: Sequence[Row] = ()
    subscriptions: Sequence[Row] = ()
    erasures: Sequence[Row] = ()

    time_zone: str = "UTC"
    business_currency: str = "EUR"
    exchange_rates: Sequence[ExchangeRate] = ()
    taxonomy: Mapping[str, EventMeaning] = field(default_factory=lambda: TAXONOMY)
    channels: Mapping[str, Channel] = field(default_factory=lambda: CHANNELS)

    #: What plan lists carried: plan_date, user_id, campaign_id, audience, channel, variant, message_class.
    planned_contacts: Sequence[Row] = ()

    contact_policy: Sequence[PolicyRow] = ()
    #: Least days between two contacts on a channel.
    channel_gaps: Mapping[str, int] = field(default_factory=dict)
    blackout_dates: Sequence[Blackout] = ()
    do_not_contact: Collection[str] = ()
    audiences: Mapping[str, Audience] = field(default_factory=dict)
    campaign_settings: Mapping[str, CampaignSetting] = field(default_factory=dict)
    category_settings: Mapping[str, CategorySetting] = field(default_factory=dict)
    universal_holdouts: Sequence[UniversalHoldout] = ()
    dose_arms: Sequence[DoseArms] = ()
    age_bands: Sequence[tuple[str, int, int | None]] = AGE_BANDS
    #: What people may declare, by family, in the order of the seed.
    declared_order: Mapping[str, Sequence[str]] = field(default_factory=dict)

    visit_gap_minutes: int = 30
    max_users_per_device: int = 1
    link_back_days: int | None = None

    rfm_window_days: int = 365
    rfm_cut_policy: CutPolicy = "monthly"
    rfm_min_cut_population: int = 100
    fixed_cuts: Mapping[str, Sequence[Decimal]] = field(default_factory=dict)

    # the other settings have the names of the vars
    unpublished_families: Sequence[str] = ("income_band", "value")
    family_max_segments: int = 30
    declared_min_users: int = 20

    engagement_new_days: int = 14
    engagement_dormant_days: int = 30
    outlook_gap_window_days: int = 365
    outlook_prior_gaps: int = 2
    outlook_default_gap_days: int = 14
    outlook_risky_factor: int = 2
    outlook_promising_visit_days: int = 2
    outlook_promising_cart_adds: int = 1
    outlook_promising_product_views: int = 3
    outlook_reaction_days: int = 7

    order_year_days: int = 365
    lifecycle_churned_days: int = 365
    lifecycle_lapsed_days: int = 180
    lifecycle_lapsing_days: int = 90
    lifecycle_loyal_orders: int = 4
    value_tier_very_good_score: int = 4
    value_tier_good_sum: int = 7
    value_tier_average_sum: int = 4
    loyalty_basket_frequent_orders: int = 3
    buyer_recency_week_days: int = 7
    buyer_recency_month_days: int = 30
    buyer_recency_year_days: int = 365
    post_purchase_follow_up_days: int = 7
    post_purchase_cycle_days: int = 30

    purchase_stage_days: int = 30
    lead_days: int = 30
    lead_hot_score: Decimal = Decimal(10)
    lead_warm_score: Decimal = Decimal(3)
    lead_hot_view_dates: int = 3
    lead_hot_view_days: int = 7
    affinity_days: int = 90
    affinity_min_share: Decimal = Decimal("0.5")
    affinity_min_signals: int = 3
    affinity_line_weight: int = 5

    subscription_risk_days: int = 30
    subscription_decline_ahead_days: int = 60
    subscription_decline_window_days: int = 28
    subscription_decline_min_visits: int = 4
    subscription_decline_share: Decimal = Decimal("0.5")

    message_new_subscriber_days: int = 14
    message_click_days: int = 30
    message_open_days: int = 30
    message_passive_days: int = 60
    message_passive_contacts: int = 5

    fatigue_signal_days: int = 90
    fatigue_contact_days: int = 60
    fatigue_contacts: int = 10
    pressure_near_cap_share: Decimal = Decimal("0.6")
    pressure_rested_days: int = 30

    plan_grace_days: int = 3
    min_marketing_age: int = 16
    marketing_retention_days: int = 1095
    just_bought_days: int = 30
    response_min_contacts: int = 3
    retention_first_days: Sequence[int] = (15, 17)
    retention_second_days: Sequence[int] = (30, 32)
    retention_silent_days: int = 7
    hot_lead_order_days: int = 30

    @property
    def zone(self) -> ZoneInfo:
        """The business time zone."""
        return ZoneInfo(self.time_zone)

    def rows(self, dataset: str) -> Sequence[Row]:
        """The rows of a dataset as they were supplied."""
        rows: Sequence[Row] = getattr(self, dataset)
        return rows

    def date_of(self, moment: datetime) -> date:
        """The date of a moment in the business time zone."""
        return moment.astimezone(self.zone).date()

    def is_by(self, moment: datetime | None, day: date) -> bool:
        """Whether something happened by the end of ``day``; what has no time always did."""
        return moment is None or self.date_of(moment) <= day
