"""The families of the folder, and what is written of them before dbt parses."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestration.errors import BarometerError
from orchestration.warehouse.families import families, placeholders, published_families, write_generated

TEMPLATE = """
models:
  - name: user_360
    conditions: ["as_of is not null", families are not null]
    columns:
      - {name: user_id, data_type: string}
      - families
      - {name: visits, data_type: bigint}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A dbt project with two behavioural families and two declared ones, one of them not published."""
    folder = tmp_path / "models" / "families"
    (folder / "declared").mkdir(parents=True)
    for name in (
        "fam_rfm.sql",
        "fam_engagement.sql",
        "helper.sql",
        "declared/fam_gender.sql",
        "declared/fam_value.sql",
    ):
        (folder / name).touch()
    (folder / "fam_rfm.yml").write_text("models: [{name: fam_rfm, description: The cell of the map.}]")
    (tmp_path / "seeds").mkdir()
    (tmp_path / "seeds" / "segment_catalog_entries.csv").write_text(
        "family,segment,rule\nrfm,lost,In {days} days or {rfm_map}\ngender,*,Is {segment}\n"
    )
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "user_360.yml").write_text(TEMPLATE)
    (tmp_path / "dbt_project.yml").write_text("vars: {unpublished_families: [value]}")
    return tmp_path


def page(project: Path) -> dict[str, object]:
    (model,) = yaml.safe_load((project / "models/marts/generated/user_360.yml").read_text())["models"]
    return dict(model)


def test_families_are_the_folder(project: Path) -> None:
    found = {family.name: (family.is_declared, family.is_published) for family in families(project)}
    assert found == {
        "engagement": (False, True),
        "gender": (True, True),
        "rfm": (False, True),
        "value": (True, False),
    }
    assert published_families(project) == ["engagement", "gender", "rfm"]


def test_user_360_has_a_column_and_a_condition_of_each_published_family(project: Path) -> None:
    write_generated(project)
    columns = page(project)["columns"]
    assert isinstance(columns, list)
    assert [column["name"] for column in columns] == ["user_id", "engagement", "gender", "rfm", "visits"]
    assert columns[3]["description"] == "Segment of the family rfm. The cell of the map."
    assert page(project)["conditions"] == [
        "as_of is not null",
        "engagement is not null",
        "gender is not null",
        "rfm is not null",
    ]


def test_macros_name_families_and_the_thresholds_of_the_catalogue(project: Path) -> None:
    write_generated(project)
    macros = (project / "macros" / "generated" / "family_models.sql").read_text()
    assert "{'name': 'gender', 'is_declared': True, 'is_published': True, 'built_from': [], 'needs': []}" in macros
    assert "catalog_thresholds() %}{{ return(['days']) }}" in macros


def test_a_page_says_what_a_family_is_built_from_and_needs(project: Path) -> None:
    page = project / "models" / "families" / "fam_rfm.yml"
    meta = "{built_from: [orders_365d], needs: [orders.order_id], owner: crm}"
    page.write_text(f"models: [{{name: fam_rfm, config: {{meta: {meta}}}}}]")
    rfm = {family.name: family for family in families(project)}["rfm"]
    assert (rfm.built_from, rfm.needs) == (("orders_365d",), ("orders.order_id",))
    page.write_text("models: [{name: fam_rfm, config: {meta: {built_from: [orders]}}}]")
    with pytest.raises(BarometerError, match="fam_rfm, meta built_from: is .*must be a list out of visits_30d"):
        families(project)


def test_files_are_written_only_when_they_change(project: Path) -> None:
    write_generated(project)
    paths = [project / "macros/generated/family_models.sql", project / "models/marts/generated/user_360.yml"]
    before = [path.stat().st_mtime_ns for path in paths]
    write_generated(project)
    assert [path.stat().st_mtime_ns for path in paths] == before
    (project / "models" / "families" / "fam_new.sql").touch()
    write_generated(project)
    assert "'new'" in paths[0].read_text()
    assert "name: new" in paths[1].read_text()


def test_placeholders_of_a_text() -> None:
    assert placeholders("At most {days} days, {rfm_map}") == ["days", "rfm_map"]
    assert placeholders("No threshold") == []
