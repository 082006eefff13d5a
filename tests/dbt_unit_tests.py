"""Runs dbt's unit tests on an empty warehouse of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from orchestration.settings import settings_from_environment
from orchestration.warehouse.dbt import dbt_command, dbt_environment
from orchestration.warehouse.project import ensure_manifest, run_target
from tests import compiled_sql


def main() -> int:
    """Make empty relations with the compiled SQL, in seconds, then run the unit tests; return dbt's exit code."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_from_environment({**os.environ, "BAROMETER_DATA": folder})
        ensure_manifest(settings)
        settings.warehouse.mkdir(parents=True, exist_ok=True)
        world = compiled_sql.World(compiled_sql.compile_project(Path(folder) / "compiled"), folder=settings.warehouse)
        world.build(date(2020, 1, 1))
        world.close()
        environment = dbt_environment(settings, run_target(settings))
        environment["DBT_LOG_FORMAT"] = "text"
        return subprocess.run(
            [*dbt_command(), "test", "--select", "test_type:unit"], cwd=settings.warehouse, env=environment, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
