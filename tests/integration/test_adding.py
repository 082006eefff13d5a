"""The pages about adding a family and an audience, followed to the letter in a copy of the project, in one run."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration import policy
from orchestration.errors import BarometerError
from orchestration.settings import ROOT
from tests.pipeline import run_pipeline

FAMILY_PAGE = ROOT / "docs" / "ADDING_A_FAMILY.md"
AUDIENCE_PAGE = ROOT / "docs" / "ADDING_AN_AUDIENCE.md"
FAMILY = "visit_rhythm"
AUDIENCE = "review_request"
DAY = date(2024, 6, 30)
COPIED = ("dbt_project", "orchestration", "profiles.yml", "pyproject.toml")
#: 9, 8, 1 and 0 days with a visit in the last 30; the last user only ordered.
VISIT_DAYS = {"nine": 9, "eight": 8, "one": 1, "none": 0}
EXPECTED = {("nine", "regular"), ("eight", "regular"), ("one", "occasional"), ("none", "absent")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what a run needs, without what earlier runs wrote."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            skipped = shutil.ignore_patterns("target", "generated", "__pycache__", "logs")
            shutil.copytree(source, tmp_path / name, ignore=skipped)
        else:
            shutil.copy(source, tmp_path / name)
    return tmp_path


def block(page: Path, kind: str, holding: str) -> str:
    """Return the fenced block of a kind that holds a text."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (text,) = [text for text in found if holding in text]
    return str(text)


def add_the_var(project: Path, lines: str) -> None:
    page = project / "dbt_project" / "dbt_project.yml"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("\nvars:\n", "\nvars:\n" + lines, 1), encoding="utf-8")


def add_the_family(project: Path) -> None:
    models = project / "dbt_project" / "models" / "families"
    (models / f"fam_{FAMILY}.sql").write_text(block(FAMILY_PAGE, "sql", "int_known_users"), encoding="utf-8")
    (models / f"fam_{FAMILY}.yml").write_text(block(FAMILY_PAGE, "yaml", "unit_tests"), encoding="utf-8")
    add_the_var(project, block(FAMILY_PAGE, "yaml", "# visit_rhythm"))


def add_the_audience(project: Path) -> None:
    file = project / "dbt_project" / "models" / "audiences" / f"aud_{AUDIENCE}.sql"
    file.write_text(block(AUDIENCE_PAGE, "sql", "config(meta="), encoding="utf-8")
    add_the_var(project, block(AUDIENCE_PAGE, "yaml", "# review_request"))


def add_the_words(project: Path) -> None:
    with (project / "dbt_project" / "seeds" / "segment_catalog_entries.csv").open("a", encoding="utf-8") as file:
        file.write(block(FAMILY_PAGE, "csv", f"{FAMILY},1,absent"))


def write_shop(landing: Path) -> None:
    (landing / "events").mkdir(parents=True)
    (landing / "orders").mkdir()
    visits = [(user, day) for user, days in VISIT_DAYS.items() for day in range(days)]
    lines = [f"{user}-{day},{user},page,2024-06-{30 - day:02d}T12:00:00" for user, day in visits]
    (landing / "events" / "visits.csv").write_text("\n".join(["event_id,user_id,event,timestamp", *lines]) + "\n")
    (landing / "orders" / "orders.csv").write_text(
        "order_id,user_id,ordered_at,gross_amount\no1,none,2024-06-01T12:00:00,10\n"
    )


ASSET = f"""
import dagster as dg
from orchestration.definitions import defs
spec = defs().resolve_asset_graph().get(dg.AssetKey(["audiences", "aud_{AUDIENCE}"]))
print(spec.description, spec.metadata["offer"])
"""


def test_a_family_is_a_model_and_its_words_and_an_audience_one_file(project: Path, tmp_path: Path) -> None:
    add_the_family(project)
    with pytest.raises(BarometerError, match=f"the family {FAMILY} has no rows"):
        policy.check_policy(project / "dbt_project")
    add_the_words(project)
    policy.check_policy(project / "dbt_project")
    add_the_audience(project)
    policy.check_policy(project / "dbt_project")
    write_shop(tmp_path / "landing")
    said = run_pipeline(tmp_path / "landing", tmp_path / "data", DAY, project)
    with duckdb.connect(str(tmp_path / "data" / "warehouse" / "barometer.duckdb"), read_only=True) as con:
        of_family = "from marts.user_segments where family = ?"
        assert set(con.execute(f"select user_id, segment {of_family}", [FAMILY]).fetchall()) == EXPECTED
        assert set(con.execute(f"select user_id, {FAMILY} from marts.user_360").fetchall()) == EXPECTED
        rules = dict(
            con.execute("select segment, rule from marts.segment_catalog where family = ?", [FAMILY]).fetchall()
        )
        history = con.execute(
            "select user_id, segment from marts.segment_history where family = ?", [FAMILY]
        ).fetchall()
        ((comment,),) = con.execute(
            "select comment from duckdb_columns() where table_name = 'user_360' and column_name = ?", [FAMILY]
        ).fetchall()
        plan = con.execute(
            "select user_id, campaign_id, channel from marts.contact_plan where audience = ?", [AUDIENCE]
        ).fetchall()
        catalog = con.execute(
            "select criteria, candidates, planned from marts.audience_catalog where audience = ?", [AUDIENCE]
        ).fetchall()
    assert set(plan) == {(user, AUDIENCE, "in_app") for user in ("eight", "nine")}
    assert catalog == [("Visits on 8 days or more of the last 30", 2, 2)]
    assert re.search(rf"^  {AUDIENCE} +2 +2 +0 +0$", said, re.MULTILINE)
    with (tmp_path / "data" / "extracts" / DAY.isoformat() / "plan" / f"{AUDIENCE}.csv").open(newline="") as file:
        assert [(row["user_id"], row["channel"]) for row in csv.DictReader(file)] == [
            ("eight", "in_app"),
            ("nine", "in_app"),
        ]
    environment = {**os.environ, "PYTHONPATH": str(project), "DAGSTER_HOME": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-c", ASSET], cwd=project, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert "Reviews by people who know the shop" in shown and "Visits on 8 days" in shown and "Thanks" in shown
    assert rules["regular"] == "At least 8 visit days in the last 30 days"
    assert rules.keys() == {"absent", "regular", "occasional"}
    assert set(history) == EXPECTED
    assert comment == f"Segment of the family {FAMILY}. On how many days of the last 30 the user came."


def test_the_pages_name_the_unit_test_of_every_boundary() -> None:
    (test,) = yaml.safe_load(block(FAMILY_PAGE, "yaml", "unit_tests"))["unit_tests"]
    assert {row["segment"] for row in test["expect"]["rows"]} == {"absent", "occasional", "regular"}
    (test,) = yaml.safe_load(block(AUDIENCE_PAGE, "yaml", "unit_tests"))["unit_tests"]
    assert test["expect"]["rows"] == [{"user_id": "days_8"}]
