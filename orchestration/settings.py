"""What a run is told: folders and dates from the environment, policy from the dbt project."""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from orchestration import clock
from orchestration.errors import BarometerError
from orchestration.landing.load import LoadSettings

ROOT = Path(__file__).resolve().parent.parent
DBT_PROJECT = ROOT / "dbt_project"
DUCKDB, SPARK = TARGETS = ("duckdb", "spark")
#: The variable with the address that alerts are posted to: a secret, so it is no part of the settings.
ALERT_WEBHOOK = "BAROMETER_ALERT_WEBHOOK"
#: A landing folder with this file is the committed sample; it names the dates that fit it.
SAMPLE_MARK = "_sample.json"


@dataclass(frozen=True)
class Settings:
    """Folders, dates and policy of one run."""

    landing: Path
    data: Path
    as_of: date
    today: date
    target: str = DUCKDB
    hash_key: str | None = field(default=None, repr=False)
    settle_seconds: float | None = None
    #: Whether somebody said which day it is, and which date to build; else the machine's clock does.
    is_today_given: bool = True
    is_as_of_given: bool = True

    @property
    def warehouse(self) -> Path:
        """Folder of the DuckDB files."""
        return self.data / "warehouse"

    @property
    def working_file(self) -> Path:
        """Raw, staging, rollups and addresses; nobody but the pipeline opens it."""
        return self.warehouse / "working.duckdb"

    @property
    def build_file(self) -> Path:
        """The marts of the current date, before they are published."""
        return self.warehouse / "build.duckdb"

    @property
    def backfills(self) -> Path:
        """Folder of the builds of older dates, a file each."""
        return self.warehouse / "backfill"

    @property
    def is_on_spark(self) -> bool:
        """Whether Spark builds the models."""
        return self.target == SPARK

    @property
    def spark(self) -> Path:
        """Folder of all that is Spark's: its catalog, its tables and what it spills."""
        return self.warehouse / "spark"

    @property
    def spark_tables(self) -> Path:
        """Folder of Spark's tables, a folder a schema and table."""
        return self.spark / "tables"

    @property
    def scratch_file(self) -> Path:
        """What a backfill derives from addresses, while it goes on."""
        return self.backfills / "scratch.duckdb"

    @property
    def scratch_prefix(self) -> str:
        """How the names of temporary folders begin in which landing files are unpacked, of this data folder alone."""
        return f"barometer-{hashlib.sha256(str(self.data).encode()).hexdigest()[:12]}-"

    @property
    def published_file(self) -> Path:
        """What BI tools open."""
        return self.warehouse / "barometer.duckdb"

    @property
    def activation_file(self) -> Path:
        """What the pipeline did, run by run; it outlives the tables."""
        return self.warehouse / "activation.sqlite"

    @property
    def extracts(self) -> Path:
        """Folder of the extracts, one subfolder a date."""
        return self.data / "extracts"

    @property
    def planned_contacts(self) -> Path:
        """Folder of what plan lists carried, one subfolder a plan date."""
        return self.data / "planned_contacts"

    @property
    def logs(self) -> Path:
        """Folder of the dbt logs, one file a run."""
        return self.data / "logs"

    def dbt_log(self, run_id: str) -> Path:
        """What dbt said in a run."""
        return self.logs / f"dbt-{run_id}.log"

    @property
    def reports(self) -> Path:
        """Folder of the report for people."""
        return self.data / "report"

    @property
    def report_page(self) -> Path:
        """The report in its first language; the pages of the others are beside it."""
        return self.reports / "barometer.html"

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's own state."""
        return self.data / "dagster"

    @property
    def plan_date(self) -> date:
        """The date that may be contacted on: the day after as_of."""
        return self.as_of + timedelta(days=1)

    def require_landing(self) -> None:
        """Raise BarometerError without a landing folder: a mount that is away must not look like a quiet day."""
        if not self.landing.is_dir():
            raise BarometerError(
                f"There is no folder {self.landing}.",
                "Put the raw files there (data/README.md says how), or set BAROMETER_LANDING to where they are.",
            )

    @cached_property
    def policy(self) -> Mapping[str, Any]:
        """Scalar policy: the vars of the dbt project."""
        return dbt_vars()


def load_settings(
    policy: Mapping[str, Any], settle_seconds: float | None = None, hash_key: str | None = None
) -> LoadSettings:
    """Return what the loader needs to know of the policy; ``settle_seconds`` goes before the policy's."""
    channels = seed_rows("channels")
    return LoadSettings(
        time_zone=policy["business_time_zone"],
        min_event_date=date.fromisoformat(policy["min_event_date"]),
        settle_seconds=policy["settle_seconds"] if settle_seconds is None else settle_seconds,
        channels=frozenset(row["channel"] for row in channels),
        phone_channels=frozenset(row["channel"] for row in channels if row["address_kind"] == "phone"),
        consent_statuses={row["synonym"].lower(): row["status"] for row in seed_rows("consent_statuses")},
        hash_key=hash_key,
    )


def dbt_vars(project: Path = DBT_PROJECT) -> Mapping[str, Any]:
    """Return the vars of dbt_project.yml: the one place of scalar policy."""
    return read_yaml(project / "dbt_project.yml")["vars"]


def read_yaml(path: Path) -> Any:
    """Return what a YAML file says, read in C where that is there: in Python it takes twenty times as long."""
    return yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def seed_rows(seed: str) -> list[dict[str, str]]:
    """Return the rows of a seed as the file has them."""
    with (DBT_PROJECT / "seeds" / f"{seed}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def settings_from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Read ``BAROMETER_*``; raises BarometerError with the variable's name where a value can't be used."""
    env = os.environ if environment is None else environment
    data = Path(env.get("BAROMETER_DATA") or ROOT / "data").absolute()
    given = {name: environment_date(env, f"BAROMETER_{name}") for name in ("TODAY", "AS_OF")}
    today = given["TODAY"] or clock.today(dbt_vars()["business_time_zone"])
    target = env.get("BAROMETER_TARGET") or DUCKDB
    if target not in TARGETS:
        raise BarometerError(f"BAROMETER_TARGET is {target!r}.", f"Set it to one of: {', '.join(TARGETS)}.")
    return Settings(
        landing=Path(env.get("BAROMETER_LANDING") or ROOT / "data" / "landing").absolute(),
        data=data,
        as_of=given["AS_OF"] or today - timedelta(days=1),
        today=today,
        target=target,
        hash_key=env.get("BAROMETER_HASH_KEY") or None,
        settle_seconds=_seconds(env, "BAROMETER_SETTLE_SECONDS"),
        is_today_given=given["TODAY"] is not None,
        is_as_of_given=given["AS_OF"] is not None,
    )


def environment_date(env: Mapping[str, str], name: str) -> date | None:
    """Return the date of an environment variable, None where it is not set; BarometerError where it is no date."""
    value = env.get(name)
    if not value:
        return None
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise BarometerError(f"{name} is {value!r}, which is no date.", "Write it like 2026-06-30.") from None


def _seconds(env: Mapping[str, str], name: str) -> float | None:
    value = env.get(name)
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        raise BarometerError(f"{name} is {value!r}, which is no number of seconds.", "Write it like 60.") from None
    if seconds < 0 or not math.isfinite(seconds):
        raise BarometerError(f"{name} is {value}.", "Write it like 60.")
    return seconds
