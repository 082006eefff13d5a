"""The jobs: what a schedule, a sensor or a person starts, one for each kind of run and named after it."""

from __future__ import annotations

import dagster as dg

from orchestration.activation.assets import SEGMENT_EXTRACTS
from orchestration.warehouse.build import BACKFILL, INTRADAY, NIGHTLY

#: The job that sends again what the extracts of a date hold.
SYNC = "sync"


def jobs_of(of_a_date: dg.AssetSelection, syncs: dg.AssetSelection) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs of the three kinds of run, and the sync alone.

    ``of_a_date`` is what a backfill builds, ``syncs`` what sends.
    """
    everything, extracts = dg.AssetSelection.all(), dg.AssetSelection.assets(SEGMENT_EXTRACTS)
    return [
        dg.define_asset_job(
            NIGHTLY,
            selection=everything,
            description="Choose yesterday's partition: the latest is today, which is not final. Loads what has landed, "
            "builds and checks every model, publishes, writes the extracts, and sends what differs in them.",
        ),
        dg.define_asset_job(
            INTRADAY,
            selection=everything - extracts - syncs,
            description="Choose the latest partition, today. The same as nightly without extracts and sync: what it "
            "publishes is not final, and any final build may take its place.",
        ),
        dg.define_asset_job(
            SYNC,
            selection=syncs,
            description="Choose the date that was extracted last: yesterday's. Sends what the providers have not "
            "accepted yet, once more without building anything.",
        ),
        dg.define_asset_job(
            BACKFILL,
            selection=of_a_date,
            description="Choose a date before the last that was built. Builds it into warehouse/backfill/<date>.duckdb "
            "from what is loaded; changes neither the published file nor the extracts.",
        ),
    ]
