"""What the dbt stage makes of the project's models, before dbt starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

from orchestration.errors import BarometerError
from orchestration.resources import _refuse_another_kind
from orchestration.settings import settings_from_environment
from orchestration.warehouse import project
from orchestration.warehouse.assets import _is_of_a_date, _refuse_other_models, as_of_selection

DATE = settings_from_environment({"BAROMETER_TODAY": "2024-07-01"}).as_of


def node(name: str, folder: str, *parents: str, resource_type: str = "model") -> dict[str, Any]:
    return {
        "name": name,
        "resource_type": resource_type,
        "fqn": ["barometer", *folder.split("/"), name],
        "depends_on": {"nodes": list(parents)},
    }


CONTEXT = "source.barometer.control.run_context"
MANIFEST: Mapping[str, Any] = {
    "nodes": {
        "model.barometer.stg_orders": node("stg_orders", "staging/versioned"),
        "model.barometer.int_user_orders_daily": node("int_user_orders_daily", "intermediate/rollups", CONTEXT),
        "model.barometer.int_user_orders": node("int_user_orders", "intermediate/as_of"),
        "model.barometer.rfm": node("rfm", "marts"),
        "seed.barometer.rfm_map": node("rfm_map", "seeds", resource_type="seed"),
        "test.barometer.future": node("future", "tests", CONTEXT, resource_type="test"),
        "test.barometer.keys": node("keys", "tests", "model.barometer.stg_orders", resource_type="test"),
    }
}


@pytest.fixture(autouse=True)
def manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "read_manifest", lambda: MANIFEST)


def loaded(*names: str) -> set[dg.AssetKey]:
    return {dg.AssetKey(["any", name]) for name in names}


def test_models_of_a_date_are_those_of_their_folders() -> None:
    of_a_date = {n["name"] for n in MANIFEST["nodes"].values() if _is_of_a_date(n)}
    assert of_a_date == {"int_user_orders", "rfm"}


def test_what_is_of_a_date_is_built_alone_with_the_tests_that_ask_for_the_date() -> None:
    names = ("intermediate.as_of", "families", "marts", "audiences", "plan")
    assert as_of_selection(MANIFEST) == [*(f"fqn:barometer.{name}" for name in names), "future"]


def test_models_that_came_or_went_since_dagster_loaded_them_are_named() -> None:
    same = ("stg_orders", "int_user_orders_daily", "int_user_orders", "rfm", "rfm_map")
    _refuse_other_models(loaded(*same))
    with pytest.raises(BarometerError, match="rfm_map came or went since Dagster loaded it") as raised:
        _refuse_other_models(loaded(*same[:-1]))
    assert "Reload definitions" in raised.value.hint
    with pytest.raises(BarometerError, match="gone came or went"):
        _refuse_other_models(loaded(*same, "gone"))


@pytest.mark.parametrize(
    ("job", "kind", "is_refused"),
    [
        ("nightly", "nightly", False),
        ("nightly", "intraday", False),
        ("nightly", "backfill", False),
        ("intraday", "intraday", False),
        ("intraday", "nightly", True),
        ("backfill", "backfill", False),
        ("backfill", "nightly", True),
        ("backfill", "intraday", True),
        ("__ASSET_JOB", "nightly", False),
    ],
)
def test_a_job_of_one_kind_takes_no_date_of_another(job: str, kind: str, is_refused: bool) -> None:
    if not is_refused:
        _refuse_another_kind(job, kind, DATE)
        return
    with pytest.raises(BarometerError, match=f"no date for the job {job}: a run of it is {kind}"):
        _refuse_another_kind(job, kind, DATE)
