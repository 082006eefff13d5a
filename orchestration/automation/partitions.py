"""The dates that can be built, as partitions, and when their builds are due."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg

from orchestration import clock
from orchestration.settings import dbt_vars, environment_date

#: When the nightly run starts, and when its tables are late, in the business time zone.
NIGHTLY_CRON, DUE_CRON = "0 3 * * *", "0 6 * * *"


def build_dates(
    policy: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> dg.DailyPartitionsDefinition:
    """Return a partition a date, from the var ``first_as_of`` to today, in the business time zone.

    BAROMETER_AS_OF is among them where it is earlier than the first; BAROMETER_TODAY, where it is set, is the last.
    """
    policy = dbt_vars() if policy is None else policy
    environment = os.environ if environment is None else environment
    zone = policy["business_time_zone"]
    first = date.fromisoformat(policy["first_as_of"])
    as_of, today = environment_date(environment, "BAROMETER_AS_OF"), environment_date(environment, "BAROMETER_TODAY")
    return dg.DailyPartitionsDefinition(
        start_date=min(first, as_of or first).isoformat(),
        end_date=None if today is None else (today + timedelta(days=1)).isoformat(),
        timezone=zone,
        end_offset=1 if today is None else max(1, (today - clock.today(zone)).days + 1),
    )


def freshness(policy: Mapping[str, Any] | None = None) -> dg.FreshnessPolicy:
    """Return when what the nightly run makes is stale: by six in the morning it is of this night."""
    zone = (dbt_vars() if policy is None else policy)["business_time_zone"]
    return dg.FreshnessPolicy.cron(deadline_cron=DUE_CRON, lower_bound_delta=timedelta(hours=4), timezone=zone)
