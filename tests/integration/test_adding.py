"""The page about adding a family, followed to the letter in a copy of the project."""

from __future__ import annotations

import re
import shutil
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml

from orchestration import policy
from orchestration.errors import BarometerError
from orchestration.settings import ROOT
from tests.pipeline import run_pipeline

PAGE = ROOT / "docs" / "ADDING_A_FAMILY.md"
FAMILY = "visit_rhythm"
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


def block(kind: str, holding: str) -> str:
    """Return the fenced block of a kind that holds a text."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (text,) = [text for text in found if holding in text]
    return str(text)


def add_the_model(project: Path) -> None:
    models = project / "dbt_project" / "models" / "families"
    (models / f"fam_{FAMILY}.sql").write_text(block("sql", "int_known_users"), encoding="utf-8")
    (models / f"fam_{FAMILY}.yml").write_text(block("yaml", "unit_tests"), encoding="utf-8")
    page = project / "dbt_project" / "dbt_project.yml"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("\nvars:\n", "\nvars:\n" + block("yaml", "# visit_rhythm"), 1), encoding="utf-8")


def add_the_words(project: Path) -> None:
    with (project / "dbt_project" / "seeds" / "segment_catalog_entries.csv").open("a", encoding="utf-8") as file:
        file.write(block("csv", f"{FAMILY},1,absent"))


def write_shop(landing: Path) -> None:
    (landing / "events").mkdir(parents=True)
    (landing / "orders").mkdir()
    visits = [(user, day) for user, days in VISIT_DAYS.items() for day in range(days)]
    lines = [f"{user}-{day},{user},page,2024-06-{30 - day:02d}T12:00:00" for user, day in visits]
    (landing / "events" / "visits.csv").write_text("\n".join(["event_id,user_id,event,timestamp", *lines]) + "\n")
    (landing / "orders" / "orders.csv").write_text(
        "order_id,user_id,ordered_at,gross_amount\no1,none,2024-06-01T12:00:00,10\n"
    )


def test_a_family_is_a_model_and_its_words(project: Path, tmp_path: Path) -> None:
    add_the_model(project)
    with pytest.raises(BarometerError, match=f"the family {FAMILY} has no rows"):
        policy.check_policy(project / "dbt_project")
    add_the_words(project)
    policy.check_policy(project / "dbt_project")
    write_shop(tmp_path / "landing")
    run_pipeline(tmp_path / "landing", tmp_path / "data", DAY, project)
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
    assert rules["regular"] == "At least 8 visit days in the last 30 days"
    assert rules.keys() == {"absent", "regular", "occasional"}
    assert set(history) == EXPECTED
    assert comment == f"Segment of the family {FAMILY}. On how many days of the last 30 the user came."


def test_the_page_names_the_unit_test_of_every_boundary() -> None:
    page = yaml.safe_load(block("yaml", "unit_tests"))
    (test,) = page["unit_tests"]
    segments = {row["segment"] for row in test["expect"]["rows"]}
    assert segments == {"absent", "occasional", "regular"}
