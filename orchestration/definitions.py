"""What Dagster finds here: every stage as assets, in the order that data passes through them."""

from __future__ import annotations

import dagster as dg

from orchestration.activation.assets import nothing_hides_a_wish_to_be_left_alone, segment_extracts
from orchestration.automation.jobs import daily
from orchestration.landing.assets import load_landing_files
from orchestration.publish.assets import published_file_of
from orchestration.resources import Warehouse
from orchestration.warehouse.assets import dbt_models_of, prepare_build
from orchestration.warehouse.project import MANIFEST


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions; the manifest of the dbt project must be there (`make dev` and `make run` see to it)."""
    dbt_models = dbt_models_of(MANIFEST)
    marts = [key for key in dbt_models.keys if key.path[0] == "marts"]
    return dg.Definitions(
        assets=[load_landing_files, prepare_build, dbt_models, published_file_of(marts), segment_extracts],
        asset_checks=[nothing_hides_a_wish_to_be_left_alone],
        jobs=[daily],
        resources={"warehouse": Warehouse()},
        executor=dg.in_process_executor,
    )
