"""A repository with the jobs that a schedule and a sensor ask for, and nothing behind them."""

from __future__ import annotations

import dagster as dg
import pytest

from orchestration.automation.partitions import build_dates
from orchestration.warehouse.build import INTRADAY, NIGHTLY


@pytest.fixture(scope="session")
def repository() -> dg.RepositoryDefinition:
    """Partitions from 2020 until long after the machine's date."""

    @dg.asset(
        partitions_def=build_dates(
            {"first_as_of": "2020-01-01", "business_time_zone": "UTC"}, {"BAROMETER_TODAY": "2035-01-01"}
        )
    )
    def dated() -> None: ...

    jobs = [dg.define_asset_job(name, selection=[dated]) for name in (NIGHTLY, INTRADAY)]
    return dg.Definitions(assets=[dated], jobs=jobs).get_repository_def()
