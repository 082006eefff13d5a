"""The jobs: what a schedule, a sensor or a person starts."""

from __future__ import annotations

import dagster as dg

DAILY = "daily"

daily = dg.define_asset_job(
    DAILY,
    selection=dg.AssetSelection.all(),
    description="Load what has landed, build and check every model, publish, and write the segment extracts.",
)
