"""The jobs: what a schedule, a sensor or a person starts, one for each kind of run and named after it."""

from __future__ import annotations

import dagster as dg

from orchestration.activation.assets import SEGMENT_EXTRACTS
from orchestration.warehouse.build import BACKFILL, INTRADAY, NIGHTLY


def jobs_of(of_a_date: dg.AssetSelection) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs of the three kinds of run; ``of_a_date`` is what has partitions."""
    everything, extracts = dg.AssetSelection.all(), dg.AssetSelection.assets(SEGMENT_EXTRACTS)
    return [
        dg.define_asset_job(
            NIGHTLY,
            selection=everything,
            description="Load what has landed, build and check every model, publish, and write the segment extracts. "
            "For yesterday, or an earlier date while no later one is built.",
        ),
        dg.define_asset_job(
            INTRADAY,
            selection=everything - extracts,
            description="The same for today, without extracts: what it publishes is not final, and any final build "
            "may take its place. Once the nightly run of yesterday has succeeded.",
        ),
        dg.define_asset_job(
            BACKFILL,
            selection=of_a_date - extracts,
            description="Build an older date into warehouse/backfill/<date>.duckdb from what is loaded. It changes "
            "neither the published file nor the extracts.",
        ),
    ]
