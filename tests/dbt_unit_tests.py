"""Runs dbt's unit tests on an empty warehouse of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import date, datetime
from pathlib import Path

from orchestration.landing.schema import create_raw_schema
from orchestration.measures.tables import create_measures_schema
from orchestration.settings import settings_from_environment
from orchestration.warehouse import prepare
from orchestration.warehouse.build_state import create_history_schema
from orchestration.warehouse.dbt import dbt_command, dbt_environment
from orchestration.warehouse.families import published_families, write_generated
from orchestration.warehouse.files import open_duckdb


def main() -> int:
    """Make empty relations, then run the unit tests; return dbt's exit code."""
    write_generated()
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_from_environment({**os.environ, "BAROMETER_DATA": folder})
        with open_duckdb(settings.working_file) as con:
            create_raw_schema(con)
            prepare.create_control_schema(con)
            prepare.write_run_context(con, prepare.RunContext(date(2020, 1, 1), True, datetime(2020, 1, 2)))
        with open_duckdb(settings.build_file) as con:
            create_history_schema(con, published_families())
            create_measures_schema(con)
        environment = dbt_environment(settings, Path(folder) / "target")
        environment["DBT_LOG_FORMAT"] = "text"
        for arguments in (["--quiet", "seed"], ["--quiet", "run", "--empty"], ["test", "--select", "test_type:unit"]):
            code = subprocess.run(
                [*dbt_command(), *arguments], cwd=settings.warehouse, env=environment, check=False
            ).returncode
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
