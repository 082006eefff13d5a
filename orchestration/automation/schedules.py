"""The schedule of the nightly run."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import dagster as dg

from orchestration.automation.partitions import NIGHTLY_CRON
from orchestration.warehouse.build import NIGHTLY

SCHEDULE = "every_night"


def date_to_build(scheduled_at: datetime, time_zone: str) -> str:
    """Return the day before ``scheduled_at`` (any zone) in the business time zone, as a partition key.

    Written by hand: a schedule that Dagster makes from partitions that know today would ask for today.
    """
    return (scheduled_at.astimezone(ZoneInfo(time_zone)).date() - timedelta(days=1)).isoformat()


def nightly_schedule_of(time_zone: str) -> dg.ScheduleDefinition:
    """Return the schedule that asks for yesterday at three in the morning of the business time zone."""

    def ask_for_yesterday(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        date = date_to_build(context.scheduled_execution_time, time_zone)
        return dg.RunRequest(run_key=date, partition_key=date)

    return dg.ScheduleDefinition(
        name=SCHEDULE,
        job_name=NIGHTLY,
        cron_schedule=NIGHTLY_CRON,
        execution_timezone=time_zone,
        execution_fn=ask_for_yesterday,
        description="The nightly run, for yesterday. Off until somebody switches it on.",
    )
