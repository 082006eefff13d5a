"""The ways in which the project is configured for random worlds, and what its seeds say to the oracle."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

from orchestration.settings import seed_rows
from orchestration.warehouse.audiences import audiences
from tests.properties import oracle

TAXONOMY = {
    row["event"]: oracle.EventMeaning(
        row["class"],
        row["is_visit"] == "true",
        Decimal(row["intent_weight"]),
        Decimal(row["interest_weight"]),
        row["awareness_stage"],
    )
    for row in seed_rows("event_taxonomy")
}
CHANNELS = {
    row["channel"]: oracle.Channel(
        row["address_kind"],
        Decimal(row["intrusiveness"]),
        counts=row["counts_towards_pressure"] == "true",
        reports_reactions=row["reports_reactions"] == "true",
        needs_consent=row["marketing_needs_consent"] == "true",
        invalidated_by_uninstall=row["invalidated_by_uninstall"] == "true",
        transactional_needs_consent=row["transactional_needs_consent"] == "true",
    )
    for row in seed_rows("channels")
}


def _audience(described: Any) -> oracle.Audience:
    said = asdict(described)
    return oracle.Audience(**{name: said[name] for name in oracle.Audience.__dataclass_fields__})


AUDIENCES = {described.name: _audience(described) for described in audiences()}


@dataclass(frozen=True)
class Setup:
    """One way to configure the project: vars, which the oracle knows by the same names, but for the time zone."""

    name: str
    time_zone: str
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def for_dbt(self) -> dict[str, Any]:
        return {"business_time_zone": self.time_zone, **self.variables}

    def of(self, world: oracle.World) -> oracle.World:
        """The world under this setup."""
        settings: dict[str, Any] = {
            name: Decimal(str(value)) if isinstance(value, float) else value for name, value in self.variables.items()
        }
        return replace(world, taxonomy=TAXONOMY, channels=CHANNELS, audiences=AUDIENCES, **settings)


SETUPS = [
    Setup("defaults", "UTC"),
    Setup(
        "paris_monthly_cuts",
        "Europe/Paris",
        {"rfm_min_cut_population": 3, "link_back_days": 1, "declared_min_users": 2, "family_max_segments": 4},
    ),
    # ... with every other threshold elsewhere
    Setup(
        "new_york_daily_cuts",
        "America/New_York",
        {
            "rfm_cut_policy": "daily",
            "rfm_min_cut_population": 1,
            "rfm_window_days": 180,
            "max_users_per_device": 2,
            "link_back_days": 0,
            "declared_min_users": 1,
            "family_max_segments": 3,
            "engagement_new_days": 7,
            "engagement_dormant_days": 14,
            "outlook_gap_window_days": 90,
            "outlook_prior_gaps": 1,
            "outlook_default_gap_days": 3,
            "outlook_risky_factor": 3,
            "outlook_promising_visit_days": 3,
            "outlook_promising_cart_adds": 2,
            "outlook_promising_product_views": 2,
            "outlook_reaction_days": 14,
            "order_year_days": 180,
            "lifecycle_churned_days": 180,
            "lifecycle_lapsed_days": 90,
            "lifecycle_lapsing_days": 30,
            "lifecycle_loyal_orders": 3,
            "value_tier_very_good_score": 3,
            "value_tier_good_sum": 6,
            "value_tier_average_sum": 3,
            "loyalty_basket_frequent_orders": 2,
            "buyer_recency_week_days": 2,
            "buyer_recency_month_days": 14,
            "buyer_recency_year_days": 180,
            "post_purchase_follow_up_days": 2,
            "post_purchase_cycle_days": 14,
            "purchase_stage_days": 14,
            "lead_days": 14,
            "lead_hot_score": 5,
            "lead_warm_score": 1,
            "lead_hot_view_dates": 2,
            "lead_hot_view_days": 6,
            "affinity_days": 30,
            "affinity_min_share": 0.4,
            "affinity_min_signals": 2,
            "affinity_line_weight": 2,
            "subscription_risk_days": 0,
            "subscription_decline_ahead_days": 30,
            "subscription_decline_window_days": 14,
            "subscription_decline_min_visits": 2,
            "subscription_decline_share": 0.25,
            "message_new_subscriber_days": 7,
            "message_click_days": 14,
            "message_open_days": 14,
            "message_passive_days": 30,
            "message_passive_contacts": 3,
            "fatigue_signal_days": 30,
            "fatigue_contact_days": 30,
            "fatigue_contacts": 6,
            "pressure_near_cap_share": 0.5,
            "pressure_rested_days": 7,
            "plan_grace_days": 1,
            "min_marketing_age": 18,
            "marketing_retention_days": 31,
            "just_bought_days": 14,
            "response_min_contacts": 2,
            "retention_first_days": [14, 15],
            "retention_second_days": [29, 31],
            "retention_silent_days": 2,
            "hot_lead_order_days": 8,
        },
    ),
]
