"""dagster-dbt, imported without dbt: where that is missing it knows the names and statuses that it asks it for.

dbt runs in a process of its own (`orchestration.warehouse.dbt`); to import it in this one would take a second of a run.
"""

from __future__ import annotations

import sys

_DBT = "dbt.version"
_IS_LIGHT = not {_DBT, "dagster_dbt"} & sys.modules.keys()

if _IS_LIGHT:
    # what the import statement takes for a module that can't be found
    sys.modules[_DBT] = None  # type: ignore[assignment]
try:
    from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtProject, dbt_assets
finally:
    if _IS_LIGHT:
        del sys.modules[_DBT]

#: What keeps dbt's unit tests out of the checks: without dbt, selectors can't be read, and no unit test is looked at.
NO_UNIT_TESTS = "" if _IS_LIGHT else "resource_type:unit_test"

__all__ = ["NO_UNIT_TESTS", "DagsterDbtTranslator", "DbtCliInvocation", "DbtProject", "dbt_assets"]
