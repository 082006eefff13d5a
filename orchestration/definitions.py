"""What Dagster finds here: every stage as assets, in the order that data passes through them."""

from __future__ import annotations

import dagster as dg

from orchestration.activation.assets import nothing_hides_a_wish_to_be_left_alone, segment_extracts_of
from orchestration.activation.configuration import configured
from orchestration.activation.sync.assets import sync_assets_of
from orchestration.automation.alerts import alert_sensor
from orchestration.automation.jobs import jobs_of
from orchestration.automation.partitions import build_dates, freshness
from orchestration.automation.schedules import nightly_schedule_of
from orchestration.automation.sensors import landing_sensor
from orchestration.explain.job import explain_job
from orchestration.landing.assets import load_landing_files
from orchestration.publish.assets import published_file_of
from orchestration.publish.checks import what_is_unusual
from orchestration.report.assets import run_report_of
from orchestration.report.page.assets import page_of
from orchestration.resources import Warehouse
from orchestration.settings import dbt_vars
from orchestration.simulate.job import simulate_job
from orchestration.warehouse.assets import CONTROL_TABLES, dbt_models_of
from orchestration.warehouse.dbt import StartDbt, start_dbt
from orchestration.warehouse.project import MANIFEST


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions; the manifest of the dbt project must be there (`make dev` and `make run` see to it)."""
    return definitions_with(start_dbt)


def definitions_with(start: StartDbt) -> dg.Definitions:
    """Return the definitions, with what starts dbt."""
    policy = dbt_vars()
    dates, due = build_dates(policy), freshness(policy)
    dbt_models = dbt_models_of(MANIFEST, dates, start)
    marts = [key for key in dbt_models.keys if key.path[0] == "marts"]
    destinations = configured()
    published, extracts = published_file_of(marts, dates, due), segment_extracts_of(dates, due, destinations)
    syncs = sync_assets_of(destinations, dates)
    report = run_report_of(dates)
    of_a_date = [spec.key for spec in dbt_models.specs if spec.partitions_def is not None]
    return dg.Definitions(
        assets=[load_landing_files, *CONTROL_TABLES, dbt_models, published, extracts, *syncs, page_of(dates), report],
        asset_checks=[nothing_hides_a_wish_to_be_left_alone, what_is_unusual],
        jobs=[
            *jobs_of(dg.AssetSelection.assets(*of_a_date, *report.keys), dg.AssetSelection.assets(*syncs)),
            explain_job,
            simulate_job,
        ],
        schedules=[nightly_schedule_of(policy["business_time_zone"])],
        sensors=[landing_sensor(), alert_sensor()],
        resources={"warehouse": Warehouse()},
        executor=dg.in_process_executor,
    )
